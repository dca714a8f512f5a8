// SPDX-License-Identifier: Apache-2.0
//! The calls that return data on a service alone (DEN0028, "General service queries"), of some owners. What
//! they return names the owner and the register, so that a test sees where it is from.

/// A service that answers them.
struct Service {
    /// The function id of its call count; the others follow.
    count: u32,
    /// How many functions it says that it has.
    functions: u64,
    /// Its UID, a word in each of four registers.
    uid: [u64; 4],
    /// Its revision, major and minor.
    revision: [u64; 2],
}

const SERVICES: [Service; 3] = [
    // Silicon partner.
    Service {
        count: 0x8200_ff00,
        functions: 2,
        uid: [0x0200_0000, 0x0200_0001, 0x0200_0002, 0x0200_0003],
        revision: [2, 20],
    },
    // Standard secure service: PSCI.
    Service {
        count: 0x8400_ff00,
        functions: 14,
        uid: [0x0400_0000, 0x0400_0001, 0x0400_0002, 0x0400_0003],
        revision: [4, 40],
    },
    // Trusted OS.
    Service {
        count: 0xbf00_ff00,
        functions: 63,
        uid: [0x3f00_0000, 0x3f00_0001, 0x3f00_0002, 0x3f00_0003],
        revision: [63, 630],
    },
];

/// Returns x0 to x3 of the call `id`, if it is one of these.
pub fn answer(id: u32) -> Option<[u64; 4]> {
    SERVICES
        .iter()
        .find_map(|service| match id.wrapping_sub(service.count) {
            0 => Some([service.functions, 0, 0, 0]),
            1 => Some(service.uid),
            3 => Some([service.revision[0], service.revision[1], 0, 0]),
            _ => None,
        })
}
