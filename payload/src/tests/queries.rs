// SPDX-License-Identifier: Apache-2.0
//! `test=queries`: what firmware says of its services (DEN0028, "General service queries"), on the
//! console.

use crate::call::{self, psci_conduit};
use crate::console::say;
use crate::context::Context;
use crate::outcome::{Outcome, ensure};

/// Call count, UID and revision, as the low half of a function id.
const NUMBERS: [u32; 3] = [0xff00, 0xff01, 0xff03];
/// The owners of a service of firmware: silicon partner, standard secure service, and one that this
/// firmware does not have, OEM; a trusted OS.
const OWNERS: [u32; 4] = [2, 3, 4, 63];

/// Fast calls with 32-bit arguments.
const FAST: u32 = 1 << 31;

/// Makes each call by the conduit of PSCI, twice, and says what it returned.
pub fn run(_: &Context) -> Outcome {
    for owner in OWNERS {
        for number in NUMBERS {
            let id = FAST | owner << 24 | number;
            let [words, again] = [(); 2].map(|()| call::raw(psci_conduit(), id, [0; 3]));
            ensure!(
                words == again,
                "call {id:#x}: expected {words:x?} again, seen {again:x?}"
            );
            say!("queries: {id:#x}: {words:x?}");
        }
    }
    Ok(())
}
