//! Shell. From the arguments to an exit code, and nothing more.

use std::process::ExitCode;

fn main() -> ExitCode {
    hookgate::cli::main(std::env::args_os())
}
