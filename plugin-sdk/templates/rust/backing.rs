// SPDX-License-Identifier: Apache-2.0
//! @NAME@: a backing that keeps its slots in memory. Put your own storage into `read` and `write`, and say in `TIER`
//! what it is.
mod stowage;

use std::ffi::c_void;
use std::mem::{align_of, size_of};
use stowage::*;

/// Yours to fill in: an SPDX expression, such as "MIT".
const LICENCE: &str = "LicenseRef-fill-in\0";

/// One opened tier; two of them share nothing.
pub struct Instance {
    owner: u64,
    slot_count: u64,
    slot_size: usize,
    byte_count: usize,
    slots: *mut u8,
}

impl Instance {
    /// Where a run of slots begins; `None`, with the reason told, when it is not all there.
    fn run(&self, slot: u64, slot_count: u32) -> Option<*mut u8> {
        if slot < self.slot_count && slot_count as u64 <= self.slot_count - slot {
            return Some(unsafe { self.slots.add(slot as usize * self.slot_size) });
        }
        fail(GONE, "there is no such slot");
        None
    }
}

// ---- The calls of the host --------------------------------------------------------------------------

unsafe extern "C" fn capacity(instance: *mut Instance, capacity: *mut Capacity) -> i32 {
    if ((*capacity).struct_size as usize) < size_of::<Capacity>() {
        return fail(INVALID, "the host's capacity has no slots_total");
    }
    (*capacity).slots_total = (*instance).slot_count;
    OK
}

unsafe extern "C" fn read(
    instance: *mut Instance, _context: *mut c_void, slot: u64, slot_count: u32, buffer: *mut u8,
    _objects: *const Object,
) -> i32 {
    guarded(|| match (*instance).run(slot, slot_count) {
        Some(run) => {
            buffer.copy_from_nonoverlapping(run, slot_count as usize * (*instance).slot_size);
            OK
        }
        None => GONE,
    })
}

unsafe extern "C" fn write(
    instance: *mut Instance, _context: *mut c_void, slot: u64, slot_count: u32, buffer: *const u8,
    _objects: *const Object,
) -> i32 {
    guarded(|| match (*instance).run(slot, slot_count) {
        Some(run) => {
            run.copy_from_nonoverlapping(buffer, slot_count as usize * (*instance).slot_size);
            OK
        }
        None => GONE,
    })
}

unsafe extern "C" fn open(arguments: *const Open, instance: *mut *mut Instance) -> i32 {
    guarded(|| {
        let (owner, slot_size) = ((*arguments).owner, (*arguments).page_size as usize);
        let made = allocate(owner, size_of::<Instance>(), align_of::<Instance>(), MEMORY_PLAIN);
        if made.is_null() {
            return fail(RETRY, "the host has no memory left for this tier");
        }
        let slot_count = (*(*arguments).options).number as u64 / slot_size as u64;
        let byte_count = slot_count as usize * slot_size;
        // Pages may be anybody's: memory that stays out of core dumps and is wiped when it is freed.
        let slots = allocate(owner, byte_count, 4096, MEMORY_SECRET);
        if slots.is_null() {
            free(owner, made, size_of::<Instance>(), MEMORY_PLAIN);
            return fail(RETRY, "the host has no memory left for so many slots; choose a smaller 'size'");
        }
        let made = made as *mut Instance;
        made.write(Instance { owner, slot_count, slot_size, byte_count, slots });
        *instance = made;
        OK
    })
}

unsafe extern "C" fn close(instance: *mut Instance) {
    let Instance { owner, byte_count, slots, .. } = instance.read();
    free(owner, slots, byte_count, MEMORY_SECRET);
    free(owner, instance as *mut u8, size_of::<Instance>(), MEMORY_PLAIN);
}

// ---- What the tier says of itself -------------------------------------------------------------------

static OPTIONS: [OptionEntry; 1] = [OptionEntry {
    key: text("size\0"),
    help: text("how much memory to hold, in bytes\0"),
    kind: OPTION_BYTES,
    flags: 0,
    number_default: 16 << 20,
    number_min: 65536,
    number_max: 1 << 40,
    text_default: std::ptr::null(),
    choices: std::ptr::null(),
}];

static BACKING: Backing<Instance> = Backing {
    struct_size: size_of::<Backing<Instance>>() as u32,
    reserved: 0,
    capacity,
    read,
    write,
    trim: None,
    sync: None,
    submit: None,
    map: None,
    root_read: None,
    root_swap: None,
};

static TIER: Tier<Instance> = Tier {
    magic: TIER_MAGIC,
    struct_size: size_of::<Tier<Instance>>() as u32,
    abi_major: ABI_MAJOR,
    abi_minor: ABI_MINOR,
    minor_required: ABI_MINOR,
    reserved0: 0,
    role: ROLE_BACKING,
    lifetime: LIFETIME_TRANSIENT,
    access: ACCESS_TERMINAL,
    priority: 850,
    // Calls may run side by side: two slots have no byte in common.
    thread_model: THREADS_PARALLEL,
    flags_required: 0,
    flags_optional: FLAG_SWAP_SAFE,
    name: text("@NAME@\0"),
    version: text("0.1.0\0"),
    summary: text("Slots in memory.\0"),
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
    transform: None,
    backing: Some(&BACKING),
    get_extension: None,
};

/// The one exported function.
#[no_mangle]
pub unsafe extern "C" fn stowage_tier_entry(host: *const Host) -> *const Tier<Instance> {
    if accept(host) { &TIER } else { std::ptr::null() }
}
