// SPDX-License-Identifier: Apache-2.0
//! The calls of OP-TEE's SMC interface, and what is done with each (`optee_smc.h`).

/// Yielding call: goes on behind a request of OP-TEE's (RPC); a3 says which thread.
pub const RETURN_FROM_RPC: u32 = 0x3200_0003;
/// Yielding call: a1, a2 are the high and low half of the physical address of a message.
pub const CALL_WITH_ARG: u32 = 0x3200_0004;
/// Fast call: returns OP-TEE's UUID.
pub const GET_OS_UUID: u32 = 0xb200_0000;
/// Fast call: returns OP-TEE's version.
pub const GET_OS_REVISION: u32 = 0xb200_0001;
/// Fast call: returns where static shared memory is.
pub const GET_SHM_CONFIG: u32 = 0xb200_0007;
/// Fast call: a1 has the capabilities of the normal world, then those of the secure one.
pub const EXCHANGE_CAPABILITIES: u32 = 0xb200_0009;
/// Fast call: OP-TEE gives shared memory back that it has kept, a cookie in a1, a2.
pub const DISABLE_SHM_CACHE: u32 = 0xb200_000a;
/// Fast call: OP-TEE may keep shared memory from one call to the next.
pub const ENABLE_SHM_CACHE: u32 = 0xb200_000b;
/// Fast call: returns how many yielding calls there can be at a time.
pub const GET_THREAD_COUNT: u32 = 0xb200_000f;
/// Fast call: OP-TEE may notify by an interrupt.
pub const ENABLE_ASYNC_NOTIF: u32 = 0xb200_0010;
/// Fast call: returns what it has notified of.
pub const GET_ASYNC_NOTIF_VALUE: u32 = 0xb200_0011;

/// What a call returns in a0.
pub mod status {
    /// It was done.
    pub const OK: u64 = 0;
    /// All threads are in use: try again when a call has ended.
    pub const ETHREAD_LIMIT: u64 = 1;
    /// There is no such thread to go on with.
    pub const ERESUME: u64 = 3;
    /// The address of the message is none.
    pub const EBADADDR: u64 = 4;
    /// The message is none.
    pub const EBADCMD: u64 = 5;
    /// There is no memory for it.
    pub const ENOMEM: u64 = 6;
    /// There is none.
    pub const ENOTAVAIL: u64 = 7;
}

/// Capabilities of the secure world.
mod capability {
    pub const UNREGISTERED_SHM: u64 = 1 << 1;
    pub const DYNAMIC_SHM: u64 = 1 << 2;
    pub const MEMREF_NULL: u64 = 1 << 4;
    pub const ASYNC_NOTIF: u64 = 1 << 5;
}
/// Those that a guest is told of. Without static shared memory, and without messages that lie in
/// registered memory, each message comes by an address and can be copied.
const OFFERED: u64 = capability::UNREGISTERED_SHM
    | capability::DYNAMIC_SHM
    | capability::MEMREF_NULL
    | capability::ASYNC_NOTIF;

/// What is done with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is handed on with no address in it.
    Forward,
    /// It is handed on, and [`offered`] is made of what it returns.
    Capabilities,
    /// It is a new message.
    Begin,
    /// It goes on with a thread.
    Resume,
    /// This is returned in a0.
    Answer(u64),
    /// It is none that is known to be harmless.
    Unknown,
}

/// Returns what is done with the call `id` of a trusted OS.
pub fn action(id: u32) -> Action {
    match id {
        GET_OS_UUID
        | GET_OS_REVISION
        | DISABLE_SHM_CACHE
        | GET_THREAD_COUNT
        | ENABLE_ASYNC_NOTIF
        | GET_ASYNC_NOTIF_VALUE => Action::Forward,
        EXCHANGE_CAPABILITIES => Action::Capabilities,
        CALL_WITH_ARG => Action::Begin,
        RETURN_FROM_RPC => Action::Resume,
        // Memory for OP-TEE's requests is not kept from call to call: it is the monitor's.
        ENABLE_SHM_CACHE => Action::Answer(status::OK),
        GET_SHM_CONFIG => Action::Answer(status::ENOTAVAIL),
        _ => Action::Unknown,
    }
}

/// Returns what the guest is told of OP-TEE's answer to [`EXCHANGE_CAPABILITIES`], a0 to a3.
pub fn offered([a0, a1, a2, _]: [u64; 4]) -> [u64; 4] {
    match a0 {
        // Without dynamic shared memory OP-TEE takes no copies.
        status::OK if a1 & capability::DYNAMIC_SHM == 0 => [status::ENOTAVAIL, 0, 0, 0],
        status::OK => [status::OK, a1 & OFFERED, a2, 0],
        error => [error, 0, 0, 0],
    }
}

/// What OP-TEE asks of the guest when a yielding call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rpc {
    /// Memory of a1 bytes for messages to the guest.
    Alloc,
    /// That memory, by its cookie in a1, a2, is not used any more.
    Free,
    /// To take an interrupt that is not OP-TEE's.
    ForeignInterrupt,
    /// To do what the message says that lies in the memory with the cookie in a1, a2.
    Command,
    /// What is not known.
    Other,
}

/// Returns what OP-TEE asks for by a0, or `None` if the call is over.
pub fn rpc(a0: u64) -> Option<Rpc> {
    let a0 = a0 as u32;
    // All ones is the answer of who does not know the call.
    if a0 == u32::MAX || a0 >> 16 != 0xffff {
        return None;
    }
    Some(match a0 & 0xffff {
        0 => Rpc::Alloc,
        2 => Rpc::Free,
        4 => Rpc::ForeignInterrupt,
        5 => Rpc::Command,
        _ => Rpc::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_without_addresses_go_on_as_they_are() {
        let forwarded = [0, 1, 10, 15, 16, 17];
        for number in 0..0x100 {
            let id = 0xb200_0000 | number;
            let expected = match number {
                7 => Action::Answer(status::ENOTAVAIL),
                9 => Action::Capabilities,
                11 => Action::Answer(status::OK),
                number if forwarded.contains(&number) => Action::Forward,
                _ => Action::Unknown,
            };
            assert_eq!(action(id), expected, "{id:#x}");
        }
        // CALL_WITH_RPC_ARG, CALL_WITH_REGD_ARG, the same ids in 64 bits, LOAD_IMAGE.
        for id in [
            0x3200_0012,
            0x3200_0013,
            0x7200_0004,
            0xf200_0000,
            0xbf00_0002,
        ] {
            assert_eq!(action(id), Action::Unknown, "{id:#x}");
        }
    }

    #[test]
    fn capabilities_that_lead_around_the_copies_are_not_offered() {
        assert_eq!(offered([0, u64::MAX, 8, 4]), [0, 0b11_0110, 8, 0]);
        assert_eq!(offered([0, 0b1011, 8, 4]), [status::ENOTAVAIL, 0, 0, 0]);
        assert_eq!(offered([u64::MAX, 1, 2, 3]), [u64::MAX, 0, 0, 0]);
    }

    #[test]
    fn requests_are_told_from_results() {
        for (a0, expected) in [
            (0, None),
            (5, None),
            (u64::from(u32::MAX), None),
            (u64::MAX, None),
            (0xfffe_0000, None),
            (0xffff_0000, Some(Rpc::Alloc)),
            (0xffff_0001, Some(Rpc::Other)),
            (0xffff_0002, Some(Rpc::Free)),
            (0xffff_ffff_ffff_0004, Some(Rpc::ForeignInterrupt)),
            (0xffff_0005, Some(Rpc::Command)),
        ] {
            assert_eq!(rpc(a0), expected, "{a0:#x}");
        }
    }
}
