// SPDX-License-Identifier: Apache-2.0
//! The contract between Stowage and a tier, as in include/stowage/tier.h, which explains every field and call.
#![allow(dead_code)]

use std::ffi::c_void;
use std::os::raw::c_char;
use std::sync::atomic::{AtomicPtr, Ordering};

pub const ABI_MAJOR: u16 = 0;
pub const ABI_MINOR: u16 = 9;
pub const HOST_MAGIC: u64 = 0x3154_534F_4857_5453;
pub const TIER_MAGIC: u64 = 0x3152_4549_5457_5453;

pub const OK: i32 = 0;
pub const RETRY: i32 = -1;
pub const FULL: i32 = -2;
pub const TOO_BIG: i32 = -3;
pub const CORRUPT: i32 = -4;
pub const AUTH: i32 = -5;
pub const GONE: i32 = -6;
pub const INVALID: i32 = -7;
pub const UNSUPPORTED: i32 = -8;
pub const IO: i32 = -9;

pub const ROLE_TRANSFORM: u32 = 1;
pub const ROLE_BACKING: u32 = 2;
pub const LIFETIME_TRANSIENT: u32 = 1;
pub const LIFETIME_PERSISTENT: u32 = 2;
pub const ACCESS_TERMINAL: u32 = 1;
pub const ACCESS_TRANSPARENT: u32 = 2;
pub const THREADS_ONE_FOR_ALL: u32 = 1;
pub const THREADS_ONE_PER_INSTANCE: u32 = 2;
pub const THREADS_PARALLEL: u32 = 3;

pub const FLAG_MANDATORY: u64 = 1 << 0;
pub const FLAG_LOSSY: u64 = 1 << 1;
pub const FLAG_SWAP_SAFE: u64 = 1 << 2;
pub const FLAG_LENGTH_PRESERVING: u64 = 1 << 3;
pub const FLAG_INTEGRITY: u64 = 1 << 4;
pub const FLAG_DETERMINISTIC: u64 = 1 << 5;

pub const MEMORY_PLAIN: u32 = 1;
pub const MEMORY_SECRET: u32 = 2;

pub const OPTION_FLAG: u32 = 1;
pub const OPTION_NUMBER: u32 = 2;
pub const OPTION_BYTES: u32 = 3;
pub const OPTION_TEXT: u32 = 4;
pub const OPTION_PATH: u32 = 5;
pub const OPTION_CHOICE: u32 = 6;
pub const OPTION_REQUIRED: u32 = 1;
pub const OPTION_SECRET: u32 = 2;

#[repr(C)]
pub struct Host {
    pub magic: u64,
    pub struct_size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub host_name: *const c_char,
    pub host_version: *const c_char,
    pub set_error: unsafe extern "C" fn(text: *const c_char, length: usize),
    pub log: Option<unsafe extern "C" fn(owner: u64, level: u32, text: *const c_char, length: usize)>,
    pub memory_allocate: unsafe extern "C" fn(owner: u64, size: usize, alignment: usize, kind: u32) -> *mut c_void,
    pub memory_free: unsafe extern "C" fn(owner: u64, memory: *mut c_void, size: usize, kind: u32),
    pub random_fill: unsafe extern "C" fn(bytes: *mut c_void, size: usize) -> i32,
    pub now_ns: unsafe extern "C" fn() -> u64,
    pub wipe: unsafe extern "C" fn(bytes: *mut c_void, size: usize),
    /// Only there when the host's `struct_size` reaches so far.
    pub get_extension: Option<unsafe extern "C" fn(id: *const c_char) -> *const c_void>,
}

#[repr(C)]
pub struct OptionEntry {
    pub key: *const c_char,
    pub help: *const c_char,
    pub kind: u32,
    pub flags: u32,
    pub number_default: i64,
    pub number_min: i64,
    pub number_max: i64,
    pub text_default: *const c_char,
    pub choices: *const *const c_char,
}

#[repr(C)]
pub struct OptionValue {
    pub text: *const c_char,
    pub text_length: u64,
    pub number: i64,
    pub given: u32,
    pub reserved: u32,
}

#[repr(C)]
pub struct Open {
    pub struct_size: u32,
    pub page_size: u32,
    pub owner: u64,
    pub epoch: u32,
    pub option_count: u32,
    pub options: *const OptionValue,
    pub instance_name: *const c_char,
}

#[repr(C)]
pub struct Object {
    pub id: u64,
    pub epoch: u32,
    pub length: u32,
    pub flags: u32,
    pub reserved: u32,
}

#[repr(C)]
pub struct Transform<I> {
    pub struct_size: u32,
    pub sidecar_length: u32,
    pub encode: unsafe extern "C" fn(
        instance: *mut I, context: *mut c_void, object: *const Object, input: *const u8, output: *mut u8,
        output_room: usize, output_length: *mut usize, sidecar: *mut u8,
    ) -> i32,
    pub decode: unsafe extern "C" fn(
        instance: *mut I, context: *mut c_void, object: *const Object, input: *const u8, input_length: usize,
        output: *mut u8, sidecar: *const u8,
    ) -> i32,
}

#[repr(C)]
pub struct Capacity {
    pub struct_size: u32,
    pub reserved: u32,
    pub slots_total: u64,
}

/// A function of a backing that this tier does not offer.
pub type NotOffered = Option<unsafe extern "C" fn()>;

#[repr(C)]
pub struct Backing<I> {
    pub struct_size: u32,
    pub reserved: u32,
    pub capacity: unsafe extern "C" fn(instance: *mut I, capacity: *mut Capacity) -> i32,
    pub read: unsafe extern "C" fn(
        instance: *mut I, context: *mut c_void, slot: u64, slot_count: u32, buffer: *mut u8, objects: *const Object,
    ) -> i32,
    pub write: unsafe extern "C" fn(
        instance: *mut I, context: *mut c_void, slot: u64, slot_count: u32, buffer: *const u8, objects: *const Object,
    ) -> i32,
    pub trim: Option<
        unsafe extern "C" fn(instance: *mut I, context: *mut c_void, slot: u64, slot_count: u32) -> i32,
    >,
    pub sync: Option<unsafe extern "C" fn(instance: *mut I, context: *mut c_void) -> i32>,
    pub submit: NotOffered,
    pub map: Option<unsafe extern "C" fn(instance: *mut I, slot: u64) -> *const u8>,
    pub root_read: NotOffered,
    pub root_swap: NotOffered,
}

#[repr(C)]
pub struct Tier<I: 'static> {
    pub magic: u64,
    pub struct_size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub minor_required: u16,
    pub reserved0: u16,
    pub role: u32,
    pub lifetime: u32,
    pub access: u32,
    pub priority: u32,
    pub thread_model: u32,
    pub flags_required: u64,
    pub flags_optional: u64,
    pub name: *const c_char,
    pub version: *const c_char,
    pub summary: *const c_char,
    pub vendor: *const c_char,
    pub licence: *const c_char,
    pub url: *const c_char,
    pub options: *const OptionEntry,
    pub option_count: u32,
    pub option_size: u32,
    pub open: unsafe extern "C" fn(arguments: *const Open, instance: *mut *mut I) -> i32,
    pub close: unsafe extern "C" fn(instance: *mut I),
    pub thread_open: Option<unsafe extern "C" fn(instance: *mut I, usage: u32, context: *mut *mut c_void) -> i32>,
    pub thread_close: Option<unsafe extern "C" fn(instance: *mut I, context: *mut c_void)>,
    pub state_save: Option<
        unsafe extern "C" fn(instance: *mut I, state: *mut u8, room: usize, length: *mut usize) -> i32,
    >,
    pub state_load: Option<unsafe extern "C" fn(instance: *mut I, state: *const u8, length: usize) -> i32>,
    pub health: Option<unsafe extern "C" fn(instance: *mut I, health: *mut c_void) -> i32>,
    pub transform: Option<&'static Transform<I>>,
    pub backing: Option<&'static Backing<I>>,
    pub get_extension: Option<unsafe extern "C" fn(id: *const c_char) -> *const c_void>,
}

// Constant: what they point to is never changed and lives for ever.
unsafe impl Sync for OptionEntry {}
unsafe impl<I> Sync for Tier<I> {}

/// The text of a literal that ends in a NUL.
pub const fn text(literal: &'static str) -> *const c_char {
    assert!(literal.as_bytes()[literal.len() - 1] == 0);
    literal.as_ptr() as *const c_char
}

static HOST: AtomicPtr<Host> = AtomicPtr::new(std::ptr::null_mut());

/// Keeps the host's table; false when a tier can do nothing with it.
pub unsafe fn accept(host: *const Host) -> bool {
    // Everything before get_extension is in every version of the table.
    let least = (std::mem::size_of::<Host>() - std::mem::size_of::<usize>()) as u32;
    if (*host).magic != HOST_MAGIC || (*host).struct_size < least {
        return false;
    }
    HOST.store(host as *mut Host, Ordering::Release);
    true
}

/// A function of the host; only after `accept`. The table lives as long as the process. Through a pointer, as an
/// older host's table may be shorter than ours.
macro_rules! host {
    ($function:ident) => {
        (*HOST.load(Ordering::Acquire)).$function
    };
}

/// Says why the call fails, and gives back the code to fail with.
pub fn fail(code: i32, why: &str) -> i32 {
    unsafe { host!(set_error)(why.as_ptr() as *const c_char, why.len()) };
    code
}

/// Zeroed memory of the host, counted against the owner; null when there is none left.
pub fn allocate(owner: u64, size: usize, alignment: usize, kind: u32) -> *mut u8 {
    unsafe { host!(memory_allocate)(owner, size, alignment, kind) as *mut u8 }
}

/// Gives back what `allocate` gave.
pub unsafe fn free(owner: u64, memory: *mut u8, size: usize, kind: u32) {
    host!(memory_free)(owner, memory as *mut c_void, size, kind)
}

/// Runs a call of the host. A panic must not leave the tier: it becomes an error.
pub fn guarded(call: impl FnOnce() -> i32) -> i32 {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_or_else(|_| fail(IO, "the tier panicked"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::size_of;

    #[test]
    fn sizes_are_those_of_the_header() {
        let sizes = [
            size_of::<Host>(), size_of::<OptionEntry>(), size_of::<OptionValue>(), size_of::<Open>(),
            size_of::<Object>(), size_of::<Transform<u8>>(), size_of::<Capacity>(), size_of::<Backing<u8>>(),
            size_of::<Tier<u8>>(),
        ];
        assert_eq!(sizes, [96, 64, 32, 40, 24, 24, 16, 80, 200]);
    }
}
