// SPDX-License-Identifier: Apache-2.0
//! The command `baton`.

use baton_command::arguments::Arguments;
use baton_command::plan::Programs;
use baton_command::run::run;
use clap::Parser;
use std::io::{self, Write};
use std::process::ExitCode;

/// The command line is wrong (sysexits.h). `baton status` ends with 0, 1 and 2.
const USAGE: u8 = 64;
/// It was not done.
const FAILED: u8 = 3;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help is printed by the same way, and is no fault.
            let code = if error.use_stderr() { USAGE } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(&arguments, &mut Programs, &mut io::stdout().lock()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Nobody may be there to read it.
            let _ = writeln!(io::stderr(), "baton: {error}");
            ExitCode::from(FAILED)
        }
    }
}
