// SPDX-License-Identifier: Apache-2.0
//! @NAME@: a transform that shortens runs of equal bytes. Put your own codec into `encode` and `decode`, and say in
//! `TIER` what it is.
mod stowage;

use std::ffi::c_void;
use std::mem::{align_of, size_of};
use stowage::*;

/// Yours to fill in: an SPDX expression, such as "MIT".
const LICENCE: &str = "LicenseRef-fill-in\0";

/// One opened tier; two of them share nothing.
pub struct Instance {
    owner: u64,
    run_min: usize,
}

// ---- The codec --------------------------------------------------------------------------------------
//
// A control byte below 128 stands before that many bytes and one more, as they are. One from 128 on stands before a
// single byte that is repeated as often as the control byte says, less 125: 3 to 130 times.

const RUN_MIN: i64 = 3;
const RUN_MAX: usize = 130;
const PLAIN_MAX: usize = 128;

fn run_at_start(bytes: &[u8]) -> usize {
    bytes.iter().take(RUN_MAX).take_while(|byte| **byte == bytes[0]).count()
}

/// How many bytes were written, or the code to fail with.
fn shorten(run_min: usize, input: &[u8], output: &mut [u8]) -> Result<usize, i32> {
    let (mut at, mut out) = (0, 0);
    while at < input.len() {
        let run = run_at_start(&input[at..]);
        if run >= run_min {
            let place = output.get_mut(out..out + 2).ok_or(TOO_BIG)?;
            place.copy_from_slice(&[(run + 125) as u8, input[at]]);
            at += run;
            out += 2;
            continue;
        }
        // Bytes as they are, up to the next run.
        let mut end = at;
        while end < input.len() && end - at < PLAIN_MAX && run_at_start(&input[end..]) < run_min {
            end += 1;
        }
        let place = output.get_mut(out..out + 1 + end - at).ok_or(TOO_BIG)?;
        place[0] = (end - at - 1) as u8;
        place[1..].copy_from_slice(&input[at..end]);
        out += 1 + end - at;
        at = end;
    }
    Ok(out)
}

/// The way back. The input may be damaged: nothing in it is believed before it is compared with what is there.
fn restore(mut input: &[u8], mut output: &mut [u8]) -> Result<(), &'static str> {
    while let Some((&control, rest)) = input.split_first() {
        let control = control as usize;
        let is_run = control >= PLAIN_MAX;
        let count = if is_run { control - 125 } else { control + 1 };
        let taken = if is_run { 1 } else { count };
        if count > output.len() {
            return Err("the input holds more than the object is long");
        }
        if taken > rest.len() {
            return Err("the input ends too early");
        }
        let (place, left) = output.split_at_mut(count);
        if is_run {
            place.fill(rest[0]);
        } else {
            place.copy_from_slice(&rest[..count]);
        }
        output = left;
        input = &rest[taken..];
    }
    if output.is_empty() { Ok(()) } else { Err("the input holds less than the object is long") }
}

// ---- The calls of the host --------------------------------------------------------------------------

unsafe extern "C" fn encode(
    instance: *mut Instance, _context: *mut c_void, object: *const Object, input: *const u8, output: *mut u8,
    output_room: usize, output_length: *mut usize, _sidecar: *mut u8,
) -> i32 {
    guarded(|| {
        let input = std::slice::from_raw_parts(input, (*object).length as usize);
        let output = std::slice::from_raw_parts_mut(output, output_room);
        match shorten((*instance).run_min, input, output) {
            Ok(length) => {
                *output_length = length;
                OK
            }
            Err(code) => code,
        }
    })
}

unsafe extern "C" fn decode(
    _instance: *mut Instance, _context: *mut c_void, object: *const Object, input: *const u8, input_length: usize,
    output: *mut u8, _sidecar: *const u8,
) -> i32 {
    guarded(|| {
        let input = std::slice::from_raw_parts(input, input_length);
        let output = std::slice::from_raw_parts_mut(output, (*object).length as usize);
        restore(input, output).map_or_else(|why| fail(CORRUPT, why), |_| OK)
    })
}

unsafe extern "C" fn open(arguments: *const Open, instance: *mut *mut Instance) -> i32 {
    guarded(|| {
        let owner = (*arguments).owner;
        let made = allocate(owner, size_of::<Instance>(), align_of::<Instance>(), MEMORY_PLAIN) as *mut Instance;
        if made.is_null() {
            return fail(RETRY, "the host has no memory left for this tier");
        }
        made.write(Instance { owner, run_min: (*(*arguments).options).number as usize });
        *instance = made;
        OK
    })
}

unsafe extern "C" fn close(instance: *mut Instance) {
    free((*instance).owner, instance as *mut u8, size_of::<Instance>(), MEMORY_PLAIN);
}

// ---- What the tier says of itself -------------------------------------------------------------------

static OPTIONS: [OptionEntry; 1] = [OptionEntry {
    key: text("run-min\0"),
    help: text("the shortest run that is shortened, in bytes\0"),
    kind: OPTION_NUMBER,
    flags: 0,
    number_default: RUN_MIN,
    number_min: RUN_MIN,
    number_max: RUN_MAX as i64,
    text_default: std::ptr::null(),
    choices: std::ptr::null(),
}];

static TRANSFORM: Transform<Instance> =
    Transform { struct_size: size_of::<Transform<Instance>>() as u32, sidecar_length: 0, encode, decode };

static TIER: Tier<Instance> = Tier {
    magic: TIER_MAGIC,
    struct_size: size_of::<Tier<Instance>>() as u32,
    abi_major: ABI_MAJOR,
    abi_minor: ABI_MINOR,
    minor_required: ABI_MINOR,
    reserved0: 0,
    role: ROLE_TRANSFORM,
    lifetime: LIFETIME_TRANSIENT,
    access: ACCESS_TERMINAL,
    priority: 150,
    // Calls may run side by side: nothing changes in an instance after it was opened.
    thread_model: THREADS_PARALLEL,
    flags_required: 0,
    flags_optional: FLAG_SWAP_SAFE | FLAG_DETERMINISTIC,
    name: text("@NAME@\0"),
    version: text("0.1.0\0"),
    summary: text("Shortens runs of equal bytes.\0"),
    vendor: std::ptr::null(),
    licence: text(LICENCE),
    url: std::ptr::null(),
    options: &OPTIONS[0],
    option_count: OPTIONS.len() as u32,
    option_size: size_of::<OptionEntry>() as u32,
    open,
    close,
    thread_open: None,
    thread_close: None,
    state_save: None,
    state_load: None,
    health: None,
    transform: Some(&TRANSFORM),
    backing: None,
    get_extension: None,
};

/// The one exported function.
#[no_mangle]
pub unsafe extern "C" fn stowage_tier_entry(host: *const Host) -> *const Tier<Instance> {
    if accept(host) { &TIER } else { std::ptr::null() }
}
