//! Tokens of open formats.

use super::Kind;

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new(
        "json-web-token",
        "JSON web token",
        "https://www.rfc-editor.org/rfc/rfc7519",
    )
    .pattern(
        r"eyJ[A-Za-z0-9_-]{10,1500}\.e[A-Za-z0-9_-]{10,4000}(?:\.[A-Za-z0-9_-]{0,1400})?",
        &["eyj"],
    )
    .apart()
    .entropy(3.5)
    .examples(&[
        "eyJ{w33}.eyJ{w120}.{w43}",
        "eyJ{w17}.eyJ{w60}.{w342}",
        "eyJ{w33}.eyJ{w120}.",
    ])
    .look_alikes(&["eyJname", "eyJhbGciOiJub25lIn0"]),
    Kind::new(
        "json-web-encryption",
        "Encrypted JSON web token",
        "https://www.rfc-editor.org/rfc/rfc7516",
    )
    .pattern(
        concat!(
            r"eyJ[A-Za-z0-9_-]{10,1500}\.[A-Za-z0-9_-]{0,700}\.[A-Za-z0-9_-]{12,24}",
            r"\.[A-Za-z0-9_-]{2,4000}\.[A-Za-z0-9_-]{20,44}"
        ),
        &["eyj"],
    )
    .apart()
    .examples(&[
        "eyJ{w60}.{w342}.{w16}.{w200}.{w22}",
        "eyJ{w60}..{w16}.{w200}.{w22}",
    ])
    .look_alikes(&["eyjname"]),
    Kind::new(
        "signed-cookie",
        "Signed session cookie of Flask or Django",
        "https://itsdangerous.palletsprojects.com/en/stable/serializer",
    )
    .pattern(
        "eyJ[A-Za-z0-9_-]{8,1500}[.:][A-Za-z0-9_-]{6}[.:][A-Za-z0-9_-]{27,43}",
        &["eyj"],
    )
    .apart()
    .examples(&["eyJ{w40}.{w6}.{w27}", "eyJ{w40}:{w6}:{w43}"])
    .look_alikes(&["eyjname"]),
    Kind::new(
        "base64-json-web-token",
        "JSON web token that is encoded once more",
        "https://www.rfc-editor.org/rfc/rfc7519",
    )
    .pattern("ZXlK[A-Za-z0-9+/]{80,4000}(?:=|%3D){0,2}", &["zxlk"])
    .outside_base64()
    .entropy(4.3)
    .examples(&["ZXlKaGJHY2lPaU{b200}==", "ZXlK{b160}="])
    .look_alikes(&["ZXlKname"]),
    Kind::new(
        "paseto",
        "Platform-agnostic security token",
        "https://github.com/paseto-standard/paseto-spec",
    )
    .pattern(
        r"v[1-4]\.(?:local|public)\.[A-Za-z0-9_-]{30,4000}(?:\.[A-Za-z0-9_-]{1,500})?",
        &[".local.", ".public."],
    )
    .lead(2, 2)
    .apart()
    .entropy(3.8)
    .examples(&[
        "v4.local.{w120}",
        "v4.public.{w150}.{w40}",
        "v2.local.{w100}",
    ])
    .look_alikes(&["v1.local.name"]),
    Kind::new(
        "paserk",
        "Key of a platform-agnostic security token",
        "https://github.com/paseto-standard/paserk",
    )
    .pattern(
        concat!(
            r"k[1-4]\.(?:local|secret|seal|local-wrap|secret-wrap|local-pw|",
            r"secret-pw)\.(?:pie\.)?[A-Za-z0-9_-]{30,900}"
        ),
        &["k1.", "k2.", "k3.", "k4."],
    )
    .apart()
    .entropy(3.8)
    .examples(&["k4.local.{w43}", "k4.secret.{w86}"])
    .look_alikes(&["k4.local.name"]),
    Kind::new(
        "macaroon",
        "Macaroon",
        concat!(
            "https://research.google/pubs/macaroons-cookies-with-contextual-c",
            "aveats-for-decentralized-authorization-in-the-cloud"
        ),
    )
    .pattern("MDAx[A-Za-z0-9+/_-]{80,4000}={0,2}", &["mdax"])
    .outside_base64()
    .entropy(4.0)
    .examples(&["MDAx{b200}=", "MDAx{w160}"])
    .look_alikes(&["mdaxname"]),
    Kind::new(
        "biscuit",
        "Biscuit token",
        "https://doc.biscuitsec.org/reference/specifications",
    )
    .pattern("biscuit:E[A-Za-z0-9_-]{80,4000}={0,2}", &["biscuit:"])
    .apart()
    .examples(&["biscuit:En{w300}"])
    .look_alikes(&["biscuit:name"]),
    Kind::new(
        "aspnet-protected-data",
        "Cookie or token of ASP.NET Core",
        "https://learn.microsoft.com/aspnet/core/security/data-protection/introduction",
    )
    .pattern("CfDJ8[A-Za-z0-9_-]{80,4000}", &["cfdj8"])
    .apart()
    .examples(&["CfDJ8{w180}"])
    .look_alikes(&["cfdj8name"]),
];
