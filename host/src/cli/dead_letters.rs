//! `dead-letters`: lists, shows, replays and drops dead letters.

use super::args::DeadLettersCommand;
use super::outcome::{CommandError, CommandOutcome};
use std::io::Write as _;
use std::path::Path;
use step_observer::control::{Answer, DeadLetter, Question, ask};
use step_observer::terminal;

pub(super) async fn dead_letters(
    command: DeadLettersCommand,
) -> Result<CommandOutcome, CommandError> {
    let text = match command {
        DeadLettersCommand::List { journal, json } => {
            let letters = fetch_letters(&journal.folder, &Question::List).await?;
            match json {
                true => lines(&letters)?,
                false => table(&letters),
            }
        }
        DeadLettersCommand::Show { journal, letter } => {
            let letters = fetch_letters(&journal.folder, &Question::Show(letter)).await?;
            let first = letters.first();
            terminal::escape_json(&format!("{:#}\n", serde_json::to_value(first)?)).into_owned()
        }
        DeadLettersCommand::Replay {
            journal,
            selection,
            to,
        } => {
            let letters = selection.into();
            let done = change_letters(&journal.folder, &Question::Replay { letters, to }).await?;
            format!("{done} dead letters are sent again\n")
        }
        DeadLettersCommand::Drop { journal, selection } => {
            let done = change_letters(&journal.folder, &Question::Drop(selection.into())).await?;
            format!("{done} dead letters are dropped\n")
        }
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(CommandOutcome::Complete)
}

async fn fetch_letters(
    folder: &Path,
    question: &Question,
) -> Result<Vec<DeadLetter>, CommandError> {
    match ask(folder, question).await? {
        Answer::Letters(letters) => Ok(letters),
        Answer::Refused(reason) => Err(reason.into()),
        Answer::Done(_) => Err(other_version()),
    }
}

async fn change_letters(folder: &Path, question: &Question) -> Result<u64, CommandError> {
    match ask(folder, question).await? {
        Answer::Done(0) => Err("there is no such dead letter".into()),
        Answer::Done(count) => Ok(count),
        Answer::Refused(reason) => Err(reason.into()),
        Answer::Letters(_) => Err(other_version()),
    }
}

fn other_version() -> CommandError {
    "the observer that uses the journal is of another version".into()
}

fn lines(letters: &[DeadLetter]) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    for letter in letters {
        text.push_str(&terminal::escape_json(&serde_json::to_string(letter)?));
        text.push('\n');
    }
    Ok(text)
}

fn table(letters: &[DeadLetter]) -> String {
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
            &format!("{:.0}", letter.fate.last),
            &letter.fate.attempts.to_string(),
            &format!("{} {}", letter.subject, phase.unwrap_or_default()),
            &letter.fate.reason,
        ]));
    }
    text
}
