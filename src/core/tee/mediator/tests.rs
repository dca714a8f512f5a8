// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::linux::fake::Ram;
use crate::memory::guest_memory::GuestMemory;

const MESSAGE: u64 = Ram::START + 0x1000;
const BUFFER: u64 = Ram::START + 0x3000;
const VALUE_OUTPUT: u64 = 2;
const TEMPORARY_OUTPUT: u64 = 10;
const THREAD: u64 = 5;
const COOKIE: u64 = 0x1_0000_0002;

const ALLOC: u64 = 0xffff_0000;
const FREE: u64 = 0xffff_0002;
const INTERRUPT: u64 = 0xffff_0004;
const COMMAND: u64 = 0xffff_0005;

/// A message with a value that is returned.
fn ram() -> Ram {
    let ram = Ram::new();
    for (word, value) in [1, 0, 0, 1 << 32, VALUE_OUTPUT, 0, 0, 0]
        .into_iter()
        .enumerate()
    {
        ram.write(MESSAGE + word as u64 * 8, value);
    }
    ram
}

fn mediator() -> Mediator {
    Mediator::new().expect("memory for a mediator")
}

fn call_with(address: u64) -> Registers {
    [CALL_WITH_ARG.into(), address >> 32, address, 0, 0, 0, 0, 0]
}

fn resume_with(a1: u64, a2: u64, a4: u64, a5: u64) -> Registers {
    [RETURN_FROM_RPC.into(), a1, a2, THREAD, a4, a5, 0, 0]
}

fn request(a0: u64, a1: u64, a2: u64) -> Registers {
    [a0, a1, a2, THREAD, 0, 0, 0, 0]
}

/// Begins a call that OP-TEE interrupts with a request.
#[track_caller]
fn begun(mediator: &Mediator, ram: &Ram, returned: Registers) {
    let seen = mediator.begin(ram, 1, call_with(MESSAGE), |_| returned, || false);
    assert_eq!(seen, returned, "the guest is asked");
}

fn written(mediator: &Mediator, address: u64, word: usize, value: u64) {
    let page = mediator.pages.iter().find(|page| page.address() == address);
    page.expect("a page of the monitor's").set(word, value);
}

#[test]
fn optee_gets_a_copy_and_the_guest_its_results() {
    let (mediator, ram) = (mediator(), ram());
    let smc = |given: Registers| {
        let address = wide(given[1], given[2]);
        assert_eq!(
            given,
            [CALL_WITH_ARG.into(), given[1], given[2], CACHED, 0, 0, 0, 0]
        );
        // The guest changes its message meanwhile.
        ram.write(MESSAGE + 32, TEMPORARY_OUTPUT);
        ram.write(MESSAGE + 40, Ram::MONITOR);
        written(&mediator, address, 5, 0x55);
        [0; 8]
    };
    assert_eq!(
        mediator.begin(&ram, 1, call_with(MESSAGE), smc, || false),
        [0; 8]
    );
    assert_eq!(ram.read_u64(MESSAGE + 40), Some(0x55));
}

#[test]
fn what_is_refused_is_not_handed_on() {
    let (mediator, ram) = (mediator(), ram());
    ram.write(MESSAGE + 32, TEMPORARY_OUTPUT);
    ram.write(MESSAGE + 40, Ram::MONITOR);
    ram.write(MESSAGE + 48, 8);
    for (address, expected) in [
        (MESSAGE, status::EBADADDR),
        (Ram::MONITOR, status::EBADADDR),
        (MESSAGE + 0x100_0008, status::OK),
    ] {
        for _ in 0..=SLOTS {
            let smc = |_| {
                assert_eq!(address, MESSAGE + 0x100_0008, "OP-TEE was called");
                [0; 8]
            };
            let seen = mediator.begin(&ram, 1, call_with(address), smc, || false);
            assert_eq!(seen[0], expected, "message at {address:#x}");
        }
    }
}

#[test]
fn a_request_for_memory_goes_through_pages_of_the_monitor() {
    let (mediator, ram) = (mediator(), ram());
    begun(&mediator, &ram, request(ALLOC, 0x60, 0));
    let mut own = 0;
    // The guest has memory for messages.
    let asks = |given: Registers| {
        own = wide(given[1], given[2]);
        assert_eq!(wide(given[4], given[5]), COOKIE);
        // OP-TEE asks for shared memory: SHM_ALLOC.
        for (word, value) in [6, 0, 0, 1 << 32, 1, 0, 4096, 0].into_iter().enumerate() {
            written(&mediator, own, word, value);
        }
        request(COMMAND, COOKIE >> 32, COOKIE & 0xffff_ffff)
    };
    let (high, low) = halves(COOKIE);
    let given = resume_with(BUFFER >> 32, BUFFER, high, low);
    let seen = mediator.resume(&ram, 1, given, asks, || false);
    assert_eq!(seen[0], COMMAND);
    assert_eq!(
        ram.read_u64(BUFFER),
        Some(6),
        "the guest has OP-TEE's message"
    );
    assert!(
        !ram.contains(own, 8),
        "OP-TEE has a page that is not the guest's"
    );

    // The guest answers, first with memory of the monitor's.
    for (pointer, expected) in [(Ram::MONITOR, 0), (Ram::START, TEMPORARY_OUTPUT)] {
        let answer = [TEMPORARY_OUTPUT, pointer, 4096, 9];
        for (word, value) in answer.into_iter().enumerate() {
            ram.write(BUFFER + 32 + word as u64 * 8, value);
        }
        let again = |given: Registers| {
            assert_eq!(given, [RETURN_FROM_RPC.into(), 0, 0, THREAD, 0, 0, 0, 0]);
            let page = mediator.pages.iter().find(|page| page.address() == own);
            let words = [4, 5].map(|word| page.expect("the page").get(word));
            assert_eq!(words[0], expected, "attribute for {pointer:#x}");
            assert!(expected == 0 || words[1] == pointer);
            request(COMMAND, COOKIE >> 32, COOKIE & 0xffff_ffff)
        };
        mediator.resume(&ram, 1, resume_with(1, 2, 3, 4), again, || false);
    }

    // OP-TEE gives the memory back, and ends.
    let frees = |_| request(FREE, COOKIE >> 32, COOKIE & 0xffff_ffff);
    mediator.resume(&ram, 1, resume_with(0, 0, 0, 0), frees, || false);
    let seen = mediator.resume(&ram, 1, resume_with(0, 0, 0, 0), |_| [0; 8], || false);
    assert_eq!(seen, [0; 8]);
    let seen = mediator.resume(&ram, 1, resume_with(0, 0, 0, 0), |_| [0; 8], || false);
    assert_eq!(seen[0], status::ERESUME, "the call is over");
}

#[test]
fn memory_for_messages_is_the_guests() {
    for (address, size) in [
        (Ram::MONITOR, 0x60),
        (Ram::MONITOR - 8, 0x60),
        (BUFFER + 4, 0x60),
        (BUFFER, 8192),
        (0, 0x60),
    ] {
        let (mediator, ram) = (mediator(), ram());
        begun(&mediator, &ram, request(ALLOC, size, 0));
        let smc = |given: Registers| {
            let none = [RETURN_FROM_RPC.into(), 0, 0, THREAD, 0, 0, 0, 0];
            assert_eq!(given, none, "{size} bytes at {address:#x}");
            [0; 8]
        };
        mediator.resume(
            &ram,
            1,
            resume_with(address >> 32, address, 0, 7),
            smc,
            || false,
        );
    }
}

#[test]
fn an_interrupt_is_the_guests_and_the_call_goes_on() {
    let (mediator, ram) = (mediator(), ram());
    let returned = [INTERRUPT, 1, 2, THREAD, 4, 5, 6, 7];
    begun(&mediator, &ram, returned);
    let mut given = returned;
    given[0] = RETURN_FROM_RPC.into();
    let smc = |seen: Registers| {
        assert_eq!(seen, [RETURN_FROM_RPC.into(), 1, 2, THREAD, 4, 5, 6, 0]);
        [0; 8]
    };
    assert_eq!(mediator.resume(&ram, 1, given, smc, || false), [0; 8]);
}

#[test]
fn only_threads_that_wait_are_gone_on_with() {
    let (mediator, ram) = (mediator(), ram());
    let never = |_| panic!("OP-TEE was called");
    let seen = mediator.resume(&ram, 1, resume_with(0, 0, 0, 0), never, || false);
    assert_eq!(seen[0], status::ERESUME, "nothing waits");
    begun(&mediator, &ram, request(INTERRUPT, 0, 0));
    let seen = mediator.resume(&ram, 2, resume_with(0, 0, 0, 0), never, || false);
    assert_eq!(seen[0], status::ERESUME, "a kernel before made the call");
    let twice = |_| {
        let seen = mediator.resume(&ram, 1, resume_with(0, 0, 0, 0), never, || false);
        assert_eq!(
            seen[0],
            status::ERESUME,
            "another CPU goes on with it already"
        );
        [0; 8]
    };
    mediator.resume(&ram, 1, resume_with(0, 0, 0, 0), twice, || false);
}

#[test]
fn slots_of_a_kernel_that_is_over_are_free_again() {
    let (mediator, ram) = (mediator(), ram());
    for _ in 0..SLOTS {
        begun(&mediator, &ram, request(INTERRUPT, 0, 0));
    }
    let begin = |generation| {
        let waits = |_| request(INTERRUPT, 0, 0);
        mediator.begin(&ram, generation, call_with(MESSAGE), waits, || false)[0]
    };
    assert_eq!(begin(1), status::ETHREAD_LIMIT);
    for _ in 0..SLOTS {
        assert_eq!(begin(2), INTERRUPT);
    }
    assert_eq!(begin(2), status::ETHREAD_LIMIT);
}

#[test]
fn nothing_is_written_for_a_kernel_that_is_over() {
    let (mediator, ram) = (mediator(), ram());
    let smc = |given: Registers| {
        written(&mediator, wide(given[1], given[2]), 5, 0x55);
        [0; 8]
    };
    mediator.begin(&ram, 1, call_with(MESSAGE), smc, || true);
    assert_eq!(ram.read_u64(MESSAGE + 40), Some(0));
}
