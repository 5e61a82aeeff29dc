//! The program: hands the arguments to the command line and its answer to the shell.

use std::process::ExitCode;

fn main() -> ExitCode {
    match patchglass::cli::main(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
