// SPDX-License-Identifier: Apache-2.0
//! What is asked for, and what is to be done for it.

use crate::plan::Plan;

/// What is to be done, and what to tell whoever asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// In this order; nothing, if all is as it should be.
    pub plan: Plan,
    /// What comes next.
    pub then: String,
}

impl Work {
    /// Returns the work of taking Baton out; nothing is to be done if it is not there.
    pub fn removal(plan: Plan) -> Self {
        let then = match plan.steps.is_empty() {
            true => "Baton is not installed",
            false => "the next boot is without Baton",
        };
        Self {
            plan,
            then: then.into(),
        }
    }
}

/// How it is to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// Baton starts once.
    #[default]
    Once,
    /// This boot was good: Baton starts each time.
    Confirm,
    /// What was installed is made anew, for kernels that came or went; nothing, if nothing was.
    Refresh,
}
