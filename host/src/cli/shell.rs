//! Completion scripts and manual pages. Both are generated from the types of the command line, so they cannot differ
//! from it.

use super::args::{Args, CompletionsArgs, ManArgs};
use super::outcome::{CommandError, CommandOutcome};
use super::output::print_text;
use clap::CommandFactory as _;
use clap_mangen::Man;
use std::path::Path;

pub(super) fn completions(args: &CompletionsArgs) -> Result<CommandOutcome, CommandError> {
    let mut command = Args::command();
    let name = command.get_name().to_owned();
    // Not written directly to standard output: the generator panics if standard output is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    // If the name of a program has a hyphen, the script for bash compares with labels that it never sets, and completes
    // nothing after a subcommand: https://github.com/clap-rs/clap/issues/6421
    let script = String::from_utf8(script)?.replace("step__subcmd__observer", "step__observer");
    print_text(&script)?;
    Ok(CommandOutcome::Complete)
}

pub(super) fn man(args: &ManArgs) -> Result<CommandOutcome, CommandError> {
    // Pages of the `help` subcommands would repeat the other pages.
    let mut command = Args::command()
        .disable_help_subcommand(true)
        // Replaces the long version, which lists the parts of this build: a page describes all
        // builds of a version.
        .long_version(env!("CARGO_PKG_VERSION"));
    command.build();
    match &args.dir {
        None => print_text(&page(command)?.1)?,
        Some(folder) => {
            std::fs::create_dir_all(folder)
                .and_then(|()| write_pages(command, folder))
                .map_err(|error| {
                    format!("failed to write pages to {}: {error}", folder.display())
                })?;
        }
    }
    Ok(CommandOutcome::Complete)
}

/// Writes the pages of a command and of its subcommands.
fn write_pages(command: clap::Command, folder: &Path) -> std::io::Result<()> {
    for below in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        write_pages(below.clone(), folder)?;
    }
    let (file, page) = page(command)?;
    std::fs::write(folder.join(file), page)
}

/// Renders a manual page, and returns its file name and its text.
fn page(command: clap::Command) -> std::io::Result<(String, Vec<u8>)> {
    let version = concat!("step-observer ", env!("CARGO_PKG_VERSION"));
    // roff omits an empty date and shows the version in its place.
    let man = Man::new(command).date(" ").source(version);
    let man = man.manual("step-observer");
    let mut page = Vec::new();
    man.render(&mut page)?;
    Ok((man.get_filename(), page))
}
