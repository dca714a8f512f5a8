// SPDX-License-Identifier: Apache-2.0
//! A CPU that is not there: its system registers and instructions, as a test wants them.
//!
//! Each thread has its own, so tests can run side by side. A register holds what was written or
//! [`set`] last, 0 if nothing was. [`fix`] takes bits out of that, [`on_write`] and [`on_read`] make
//! more of it than memory, [`on_instruction`] gives an instruction an effect. `CNTPCT_EL0` counts its
//! reads.

use std::cell::RefCell;
use std::collections::HashMap;

#[derive(Default)]
struct Cpu {
    registers: HashMap<&'static str, Register>,
    instructions: HashMap<&'static str, Hook<Option<u64>, ()>>,
    events: Vec<Event>,
}

/// What the code under test did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It wrote this value to a register: as given, fixed bits or not.
    Write(&'static str, u64),
    /// It executed an instruction, with an operand if it has one.
    Execute(&'static str, Option<u64>),
}

/// A test's own code; it is taken out while it runs, so that it can use the registers.
type Hook<T, R> = Option<Box<dyn FnMut(T) -> R>>;

/// What was put in, which bits are fixed to what, and what a test makes of accesses.
#[derive(Default)]
struct Register {
    value: Option<u64>,
    fixed_mask: u64,
    fixed: u64,
    on_write: Hook<u64, u64>,
    on_read: Hook<u64, u64>,
}

impl Register {
    fn read_or(&self, otherwise: u64) -> u64 {
        self.value.unwrap_or(otherwise) & !self.fixed_mask | self.fixed & self.fixed_mask
    }
}

thread_local! {
    static CPU: RefCell<Cpu> = RefCell::default();
}

fn with<T>(name: &'static str, access: impl FnOnce(&mut Register) -> T) -> T {
    CPU.with_borrow_mut(|cpu| access(cpu.registers.entry(name).or_default()))
}

/// Forgets all of this thread's registers, hooks and events.
pub fn reset() {
    CPU.take();
}

/// Gives a register a value, as if it had come so; [`writes`] does not show it.
pub fn set(name: &'static str, value: u64) {
    with(name, |register| register.value = Some(value));
}

/// Returns what is in a register; [`on_read`] has no say in it.
pub fn get(name: &'static str) -> u64 {
    with(name, |register| register.read_or(0))
}

/// Fixes the bits of `mask` to those of `value`: from now on they do not take what is written.
pub fn fix(name: &'static str, mask: u64, value: u64) {
    with(name, |register| {
        register.fixed_mask = mask;
        register.fixed = value;
    });
}

/// Has `hook` see each value that is written to a register; what it returns is stored.
///
/// A register in which ones clear bits is `on_write(name, move |ones| get(name) & !ones)`.
pub fn on_write(name: &'static str, hook: impl FnMut(u64) -> u64 + 'static) {
    with(name, |register| register.on_write = Some(Box::new(hook)));
}

/// Has `hook` see each value that is read from a register; what it returns is read.
pub fn on_read(name: &'static str, hook: impl FnMut(u64) -> u64 + 'static) {
    with(name, |register| register.on_read = Some(Box::new(hook)));
}

/// Has `hook` called with the operand whenever the instruction `text` is executed.
pub fn on_instruction(text: &'static str, mut hook: impl FnMut(u64) + 'static) {
    let hook: Box<dyn FnMut(Option<u64>)> =
        Box::new(move |operand| hook(operand.unwrap_or_default()));
    CPU.with_borrow_mut(|cpu| cpu.instructions.insert(text, Some(hook)));
}

/// Returns what this thread's code wrote to registers, in order.
pub fn writes() -> Vec<(&'static str, u64)> {
    let write = |event| match event {
        Event::Write(name, value) => Some((name, value)),
        Event::Execute(..) => None,
    };
    events().into_iter().filter_map(write).collect()
}

/// Returns what this thread's code wrote and executed, in order.
pub fn events() -> Vec<Event> {
    CPU.with_borrow(|cpu| cpu.events.clone())
}

/// Returns the instructions that this thread's code executed, in order, without their operands.
pub fn instructions() -> Vec<&'static str> {
    let instruction = |event| match event {
        Event::Execute(text, _) => Some(text),
        Event::Write(..) => None,
    };
    events().into_iter().filter_map(instruction).collect()
}

/// What `read_sysreg!(NAME)` is on a PC.
///
/// # Safety
///
/// None is needed. It is unsafe so that callers are the same on a PC and on the bare machine.
pub unsafe fn read(name: &'static str) -> u64 {
    // SAFETY: None is needed.
    unsafe { read_or(name, 0) }
}

/// What `read_sysreg!(NAME or otherwise)` is on a PC: a register that was never given a value is one
/// that is not there.
///
/// # Safety
///
/// As [`read`].
pub unsafe fn read_or(name: &'static str, otherwise: u64) -> u64 {
    let (mut value, hook) = with(name, |register| {
        if name == "CNTPCT_EL0" {
            register.value = Some(register.value.unwrap_or(0) + 1);
        }
        (register.read_or(otherwise), register.on_read.take())
    });
    if let Some(mut hook) = hook {
        value = hook(value);
        with(name, |register| register.on_read = Some(hook));
    }
    value
}

/// What `write_sysreg!(NAME, value)` is on a PC.
///
/// # Safety
///
/// As [`read`].
pub unsafe fn write(name: &'static str, value: u64) {
    note(Event::Write(name, value));
    let mut stored = value;
    if let Some(mut hook) = with(name, |register| register.on_write.take()) {
        stored = hook(value);
        with(name, |register| register.on_write = Some(hook));
    }
    set(name, stored);
}

/// What `instruction!("text", operand)` is on a PC.
///
/// # Safety
///
/// As [`read`].
pub unsafe fn execute(text: &'static str, operand: Option<u64>) {
    note(Event::Execute(text, operand));
    let hook = |cpu: &mut Cpu| cpu.instructions.get_mut(text).and_then(Option::take);
    if let Some(mut hook) = CPU.with_borrow_mut(hook) {
        hook(operand);
        CPU.with_borrow_mut(|cpu| cpu.instructions.insert(text, Some(hook)));
    }
}

fn note(event: Event) {
    CPU.with_borrow_mut(|cpu| cpu.events.push(event));
}

/// Reads a register of [`fake`](crate::fake): the terms are those of the bare machine.
#[macro_export]
macro_rules! read_sysreg {
    ($name:ident or $otherwise:expr) => {
        $crate::fake::read_or(stringify!($name), $otherwise)
    };
    ($name:ident) => { $crate::fake::read(stringify!($name)) };
    ($($part:literal)+) => { $crate::fake::read(concat!($($part),+)) };
}

/// Writes a register of [`fake`](crate::fake): the terms are those of the bare machine.
#[macro_export]
macro_rules! write_sysreg {
    ($name:ident, $value:expr $(,)?) => { $crate::fake::write(stringify!($name), $value) };
    ($($part:literal)+, $value:expr $(,)?) => { $crate::fake::write(concat!($($part),+), $value) };
}

/// Has [`fake`](crate::fake) note an instruction: the terms are those of the bare machine.
#[macro_export]
macro_rules! instruction {
    ($text:literal) => {
        $crate::fake::execute($text, None)
    };
    ($text:literal, $operand:expr) => {
        $crate::fake::execute($text, Some($operand))
    };
}

#[cfg(test)]
mod tests;
