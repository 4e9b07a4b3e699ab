//! What a shell and `man` want to know of the command line. Both are made of the same types as the
//! command line itself, so they cannot tell anything else.

use super::End;
use super::args::{Args, CompletionsArgs, ManArgs};
use clap::CommandFactory as _;
use clap_mangen::Man;
use std::error::Error;
use std::io::Write as _;
use std::path::Path;

type Problem = Box<dyn Error + Send + Sync>;

pub(crate) fn completions(args: &CompletionsArgs) -> Result<End, Problem> {
    let mut command = Args::command();
    let name = command.get_name().to_owned();
    // Not right to standard output: the generator panics where that is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    // Where the name of a program has a hyphen, bash's script looks for other labels of its commands
    // than it has, and completes nothing behind them: https://github.com/clap-rs/clap/issues/6421
    let script = String::from_utf8(script)?.replace("step__subcmd__observer", "step__observer");
    std::io::stdout().write_all(script.as_bytes())?;
    Ok(End::Good)
}

pub(crate) fn man(args: &ManArgs) -> Result<End, Problem> {
    // A page for each `help` would say what the pages say.
    let mut command = Args::command()
        .disable_help_subcommand(true)
        // A page is for every program of this version, whatever is part of it.
        .long_version(env!("CARGO_PKG_VERSION"));
    command.build();
    match &args.dir {
        None => std::io::stdout().write_all(&page(command)?.1)?,
        Some(folder) => {
            std::fs::create_dir_all(folder)
                .and_then(|()| write_pages(command, folder))
                .map_err(|error| {
                    format!("failed to write pages to {}: {error}", folder.display())
                })?;
        }
    }
    Ok(End::Good)
}

/// Writes the page of a command and those of its subcommands.
fn write_pages(command: clap::Command, folder: &Path) -> std::io::Result<()> {
    for below in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        write_pages(below.clone(), folder)?;
    }
    let (file, page) = page(command)?;
    std::fs::write(folder.join(file), page)
}

/// A manual page: the name of its file, and what is in it.
fn page(command: clap::Command) -> std::io::Result<(String, Vec<u8>)> {
    let version = concat!("step-observer ", env!("CARGO_PKG_VERSION"));
    // An empty date would be left out, and the version taken for it.
    let man = Man::new(command).date(" ").source(version);
    let man = man.manual("step-observer");
    let mut page = Vec::new();
    man.render(&mut page)?;
    Ok((man.get_filename(), page))
}
