//! The program `tragen`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tragen::run()
}
