//! `dead-letters`: lists, shows, replays and drops dead letters.

use super::args::DeadLettersCommand;
use super::outcome::{CommandError, CommandOutcome};
use super::output::print_text;
use std::path::Path;
use step_observer::control::{DeadLetterView, Request, Response, call};
use step_observer::terminal;

pub(super) async fn dead_letters(
    command: DeadLettersCommand,
) -> Result<CommandOutcome, CommandError> {
    let text = match command {
        DeadLettersCommand::List { journal, json } => {
            let letters = fetch_letters(&journal.folder, &Request::List).await?;
            match json {
                true => lines(&letters)?,
                false => table(&letters),
            }
        }
        DeadLettersCommand::Show { journal, letter } => {
            let letters = fetch_letters(&journal.folder, &Request::Show(letter)).await?;
            let first = letters.first();
            terminal::escape_json(&format!("{:#}\n", serde_json::to_value(first)?)).into_owned()
        }
        DeadLettersCommand::Replay {
            journal,
            selection,
            to,
        } => {
            let letters = selection.into();
            let done = change_letters(&journal.folder, &Request::Replay { letters, to }).await?;
            format!("{done} dead letters are sent again\n")
        }
        DeadLettersCommand::Drop { journal, selection } => {
            let done = change_letters(&journal.folder, &Request::Drop(selection.into())).await?;
            format!("{done} dead letters are dropped\n")
        }
    };
    print_text(&text)?;
    Ok(CommandOutcome::Complete)
}

async fn fetch_letters(
    folder: &Path,
    request: &Request,
) -> Result<Vec<DeadLetterView>, CommandError> {
    match call(folder, request).await? {
        Response::DeadLetters(letters) => Ok(letters),
        Response::Refused(reason) => Err(reason.into()),
        Response::Done(_) => Err(other_version()),
    }
}

async fn change_letters(folder: &Path, request: &Request) -> Result<u64, CommandError> {
    match call(folder, request).await? {
        Response::Done(0) => Err("there is no such dead letter".into()),
        Response::Done(count) => Ok(count),
        Response::Refused(reason) => Err(reason.into()),
        Response::DeadLetters(_) => Err(other_version()),
    }
}

fn other_version() -> CommandError {
    "the observer that uses the journal is of another version".into()
}

fn lines(letters: &[DeadLetterView]) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    for letter in letters {
        text.push_str(&terminal::escape_json(&serde_json::to_string(letter)?));
        text.push('\n');
    }
    Ok(text)
}

fn table(letters: &[DeadLetterView]) -> String {
    if letters.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let row = |cells: [&str; 5]| {
        let [letter, last, attempts, step, reason] = cells.map(terminal::escape_line);
        format!("{letter:<16} {last:<21} {attempts:<9} {step:<44} {reason}\n")
    };
    let mut text = row(["LETTER", "GIVEN UP", "ATTEMPTS", "STEP", "REASON"]);
    for letter in letters {
        let phase = letter.ty.trim_end_matches(".v1").rsplit('.').next();
        text.push_str(&row([
            &letter.letter.to_string(),
            &format!("{:.0}", letter.failure.last),
            &letter.failure.attempts.to_string(),
            &format!("{} {}", letter.subject, phase.unwrap_or_default()),
            &letter.failure.reason,
        ]));
    }
    text
}
