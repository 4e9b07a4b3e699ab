//! Hosting of source code.

use super::{Checksum, Kind};

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new(
        "github-app-user-token",
        "GitHub App user access token",
        "https://docs.github.com/authentication/keeping-your-account-and-data-secure/about-authentication-to-github",
    )
    .pattern("ghu_[A-Za-z0-9]{36}", &["ghu_"])
    .checksum(Checksum::Crc32Base62)
    .examples(&["ghu_{a36}"])
    .look_alikes(&["ghu_short"]),
];
