//! Gaps: times in which runs may have come and gone unseen, because this observer did not watch.
//!
//! An observer finds the runs that exist when it starts. A run that was created and deleted, or of which
//! steps ended before it was deleted, while nobody watched is not among them. The observer cannot know
//! whether there was one. It knows from when to when that was possible: from the last moment at which it is
//! known to have watched until its first complete lists.
//!
//! `decide` says what a gap is, without I/O and clock. `note` keeps the last such moment in the folder of the
//! journal. `record` holds what is known, for the stage in `app` that reports gaps.

mod decide;
mod note;
mod record;

pub use decide::{Gap, Note, Unknown, of_start};
pub use note::{NoteError, read, write};
pub use record::Gaps;
