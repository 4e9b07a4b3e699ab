//! Forms in which texts show secrets: values under the name of a secret, options of commands, headers,
//! URLs, keys in PEM.
//!
//! A form is found by a `Detector`: its keywords are searched in the whole text, and its function
//! decides at each keyword what is secret there.

mod armor;
mod cookie;
mod credentials_file;
mod encoded_key;
mod hash;
mod header;
mod json;
mod manifest;
mod mnemonic;
pub(crate) mod named;
mod package_managers;
mod pem;
mod plausible;
mod query;
mod syntax;
mod url;
mod userpass;

use crate::text::Text;
use std::ops::Range;

/// A form in which a text shows a secret. The id stands in the replacement and in the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// The id.
    pub id: &'static str,
    /// What it finds, in words.
    pub title: &'static str,
    /// Lines with made-up secrets between `→` and `←`.
    pub examples: &'static [&'static str],
}

/// Takes what a detector finds.
pub(crate) type Found<'f> = dyn FnMut(&'static Form, Range<usize>) + 'f;

/// Finds a form near its keywords.
#[derive(Clone, Copy)]
pub(crate) struct Detector {
    /// Words in lower case, searched without regard to case.
    pub(crate) keywords: &'static [&'static str],
    /// Reports each secret that belongs to the keyword at this place. The decision depends on at
    /// most [`crate::REACH`] bytes around the keyword, and on no earlier call. If there is no
    /// secret, few bytes are read.
    pub(crate) detect: fn(&Text<'_>, Range<usize>, &mut Found<'_>),
}

/// Forms with their detectors, by topic.
static TOPICS: &[(&[&Form], &[Detector])] = &[
    (credentials_file::FORMS, credentials_file::DETECTORS),
    (userpass::FORMS, userpass::DETECTORS),
    (cookie::FORMS, cookie::DETECTORS),
    (encoded_key::FORMS, encoded_key::DETECTORS),
    (hash::FORMS, hash::DETECTORS),
    (header::FORMS, header::DETECTORS),
    (manifest::FORMS, manifest::DETECTORS),
    (mnemonic::FORMS, mnemonic::DETECTORS),
    (named::FORMS, named::DETECTORS),
    (package_managers::FORMS, package_managers::DETECTORS),
    (pem::FORMS, pem::DETECTORS),
    (query::FORMS, query::DETECTORS),
    (url::FORMS, url::DETECTORS),
];

/// Returns all detectors.
pub(crate) fn detectors() -> impl Iterator<Item = &'static Detector> {
    TOPICS.iter().flat_map(|(_, detectors)| *detectors)
}

/// Returns all forms.
#[must_use]
pub fn forms() -> Vec<&'static Form> {
    TOPICS
        .iter()
        .flat_map(|(forms, _)| forms.iter().copied())
        .collect()
}

/// Returns the keywords of all forms, in lower case. Several forms may have the same.
pub fn keywords() -> impl Iterator<Item = &'static str> {
    detectors().flat_map(|detector| detector.keywords.iter().copied())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_commands;
#[cfg(test)]
mod tests_files;
#[cfg(test)]
mod tests_logins;
#[cfg(test)]
mod tests_pem;
#[cfg(test)]
mod tests_scripts;
#[cfg(test)]
mod tests_urls;
