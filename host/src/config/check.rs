//! Collects all mistakes of a configuration: those in its text, and those that other modules find
//! when they load its plugins and open its sinks.

use super::types::{DEAD_LETTERS, MAX_SINKS};
use super::{Config, ConfigError, SinkConfig, file_access, read_text};
use crate::admin::AdminConfigError;
use crate::known_secrets;
use crate::observe;
use crate::oci::RegistryConfig;
use crate::plugin::{PluginConfig, TrustConfig};
use crate::standby::StandbyConfig;
use crate::yaml::{self, FieldPath, LenientParse, Mistakes};
use std::collections::HashSet;
use std::path::Path;

/// Most Secrets in `dropIn.pullSecrets`. They are read one after the other while a plugin is fetched.
const MAX_PULL_SECRETS: usize = 16;

/// A configuration that is checked: its valid part, and the mistakes in the rest.
#[derive(Debug)]
pub struct ConfigCheck(LenientParse<Config>);

impl ConfigCheck {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let mut check = Self::parse(&path.display().to_string(), &read_text(path)?);
        check.check_fields();
        Ok(check)
    }

    /// Reads a text.
    pub(super) fn parse(name: &str, text: &str) -> Self {
        let mut check = Self(yaml::parse_lenient(name, "configuration", text));
        check.check_names();
        check
    }

    /// Returns the configuration, if it has no mistake.
    ///
    /// # Errors
    ///
    /// Returns all mistakes, if there is one.
    pub fn into_config(self) -> Result<Config, Mistakes> {
        match self.0.value {
            Some(config) if self.0.mistakes.is_empty() => Ok(config),
            _ => Err(self.0.mistakes),
        }
    }

    /// Returns the valid part of the configuration. `None` if no field can be read.
    #[must_use]
    pub fn config(&self) -> Option<&Config> {
        self.0.value.as_ref()
    }

    /// Returns the plugins, each with the path of its field. Omits a plugin that has a mistake in
    /// `from`, `limits` or `wasi`, because loading the plugin could report further mistakes that
    /// only follow from the first.
    #[must_use]
    pub fn plugins(&self) -> Vec<(FieldPath, PluginConfig)> {
        let Some(config) = &self.0.value else {
            return Vec::new();
        };
        let root = FieldPath::default();
        let mut found = self.plugins_of(&root.key("plugins"), &config.plugins);
        for (path, sink) in self.sinks_of(config) {
            found.extend(self.plugins_of(&path.key("plugins"), &sink.plugins));
        }
        found
    }

    /// Returns the signatures and digests that plugins must have. If `trust` contains a mistake,
    /// plugins need none, so that mistakes of the plugins themselves are still found.
    #[must_use]
    pub fn trust(&self) -> TrustConfig {
        let is_invalid = self.0.is_invalid(&FieldPath::default().key("trust"));
        let config = self.0.value.as_ref().filter(|_| !is_invalid);
        config
            .map(|config| config.trust.clone())
            .unwrap_or_default()
    }

    /// Returns the sinks and the paths of their fields. Omits sinks whose `to` has a mistake.
    #[must_use]
    pub fn sinks(&self) -> Vec<(FieldPath, SinkConfig)> {
        let config = self.0.value.as_ref();
        let sinks = config.map(|config| self.sinks_of(config)).into_iter();
        let is_valid = |(path, _): &(FieldPath, &SinkConfig)| !self.0.is_invalid(&path.key("to"));
        let sinks = sinks.flatten().filter(is_valid);
        sinks.map(|(path, sink)| (path, sink.clone())).collect()
    }

    /// Adds a mistake at a field.
    pub fn add_mistake(&mut self, path: &FieldPath, problem: impl Into<String>) {
        self.0.add_mistake(path, problem);
    }

    /// Returns whether a field, or one below it, already has a mistake.
    #[must_use]
    pub fn has_mistake(&self, path: &FieldPath) -> bool {
        let below = path.to_string();
        let fields = self.0.mistakes.list().iter().map(|mistake| &mistake.field);
        fields.into_iter().any(|field| field.starts_with(&below))
    }

    /// Checks that the files and environment variables named by sinks and traces can be read. They
    /// must exist on the machine where the observer runs.
    pub fn check_files(&mut self) {
        for (path, sink) in self.sinks() {
            for (field, problem) in file_access::unreadable_in_sink(&sink) {
                let field = FieldPath::parse(&field).unwrap_or_default();
                let problem = format!("sink `{}`: {problem}", sink.name);
                self.add_mistake(&path.join(field), problem);
            }
        }
        let known = FieldPath::default().key("knownSecrets");
        if !self.0.is_invalid(&known) {
            let unreadable = self
                .config()
                .map(|config| known_secrets::unreadable_sources(&config.known_secrets));
            self.add_mistakes_below(&known, unreadable.unwrap_or_default());
        }
        let registries = FieldPath::default().key("registries");
        if !self.0.is_invalid(&registries) {
            let unreadable = self
                .config()
                .map(|config| file_access::unreadable_in("registries", &config.registries));
            for (field, problem) in unreadable.into_iter().flatten() {
                let field = FieldPath::parse(&field).unwrap_or(registries.clone());
                self.add_mistake(&field, problem);
            }
        }
        let traces = FieldPath::default().key("traces");
        if self.0.is_invalid(&traces) {
            return;
        }
        let missing = self
            .config()
            .map(|config| file_access::unreadable_in("traces", &config.traces));
        for (field, problem) in missing.into_iter().flatten() {
            let field = FieldPath::parse(&field).unwrap_or(traces.clone());
            self.add_mistake(&field, problem);
        }
    }

    /// Adds mistakes of fields whose paths are below `path`. A field that already has a mistake
    /// gets no second one.
    fn add_mistakes_below(&mut self, path: &FieldPath, problems: Vec<(String, String)>) {
        for (field, problem) in problems {
            let field = path.join(FieldPath::parse(&field).unwrap_or_default());
            if !self.has_mistake(&field) {
                self.add_mistake(&field, problem);
            }
        }
    }

    fn plugins_of(
        &self,
        path: &FieldPath,
        plugins: &[PluginConfig],
    ) -> Vec<(FieldPath, PluginConfig)> {
        let is_valid = |path: &FieldPath| {
            let fields = ["from", "limits", "wasi"];
            !fields
                .iter()
                .any(|field| self.0.is_invalid(&path.key(field)))
        };
        let paths = self.0.items(path).into_iter();
        let found = paths.zip(plugins).filter(|(path, _)| is_valid(path));
        found.map(|(path, plugin)| (path, plugin.clone())).collect()
    }

    fn sinks_of<'a>(&self, config: &'a Config) -> Vec<(FieldPath, &'a SinkConfig)> {
        let paths = self.0.items(&FieldPath::default().key("sinks"));
        paths.into_iter().zip(&config.sinks).collect()
    }

    /// Adds a mistake for each name that is used twice, and one for too many sinks.
    fn check_names(&mut self) {
        let Some(config) = self.0.value.clone() else {
            return;
        };
        let root = FieldPath::default();
        let named = |paths: Vec<FieldPath>, plugins: &[PluginConfig]| {
            let names = plugins.iter().map(|plugin| plugin.name.clone());
            paths.into_iter().zip(names).collect::<Vec<_>>()
        };
        let plugins = root.key("plugins");
        self.check_unique(named(self.0.items(&plugins), &config.plugins));
        let mut sinks = Vec::new();
        for (path, sink) in self.sinks_of(&config) {
            let own = named(self.0.items(&path.key("plugins")), &sink.plugins);
            sinks.push((path, sink.name.clone(), own));
        }
        for (path, name, own) in &sinks {
            self.check_unique(own.clone());
            if name.ends_with(DEAD_LETTERS) {
                let problem = format!(
                    "the name `{name}` is that of a dead-letter sink; write `deadLetterSink` at the sink itself"
                );
                self.add_mistake(&path.key("name"), problem);
            }
        }
        self.check_unique(
            sinks
                .into_iter()
                .map(|(path, name, _)| (path, name))
                .collect(),
        );
        let dead_letters = config
            .sinks
            .iter()
            .filter(|sink| sink.dead_letter_sink.is_some());
        let count = config.sinks.len() + dead_letters.count();
        if count > MAX_SINKS {
            let problem = format!(
                "{count} sinks, dead-letter sinks included, are more than {MAX_SINKS}: remove some"
            );
            self.add_mistake(&root.key("sinks"), problem);
        }
    }

    fn check_unique(&mut self, names: Vec<(FieldPath, String)>) {
        let mut seen = HashSet::new();
        for (path, name) in names {
            let field = path.key("name");
            let is_valid = !self.0.is_invalid(&field);
            if is_valid && !seen.insert(name.clone()) {
                self.add_mistake(
                    &field,
                    format!("the name `{name}` is used twice: give another"),
                );
            }
        }
    }

    /// Adds a mistake for each combination of fields that is not allowed.
    fn check_fields(&mut self) {
        let Some(config) = self.0.value.clone() else {
            return;
        };
        let admin = FieldPath::default().key("admin");
        if let (Err(error), false) = (config.admin.check(), self.0.is_invalid(&admin)) {
            let field = match error {
                AdminConfigError::Unprotected(_) => "listen",
                AdminConfigError::NothingToGuard => "auth",
                AdminConfigError::Twice { field, .. } => field.trim_start_matches("admin."),
            };
            let problem = error.to_string();
            let named = format!("admin.{field}: ");
            let problem = problem.strip_prefix(&named).unwrap_or(&problem);
            self.add_mistake(&admin.key(field), problem);
        }
        let cluster = FieldPath::default().key("cluster");
        if let (Err(error), false) = (config.cluster.own_shard(), self.0.is_invalid(&cluster)) {
            self.add_mistake(&cluster.key("shard"), error.to_string());
        }
        let standby = FieldPath::default().key("standby");
        let problem = config.standby.as_ref().and_then(StandbyConfig::problem);
        if let (Some((field, problem)), false) = (problem, self.0.is_invalid(&standby)) {
            self.add_mistake(&standby.key(field), problem);
        }
        let registries = FieldPath::default().key("registries");
        for (index, problem) in RegistryConfig::problems(&config.registries) {
            if !self.0.is_invalid(&registries) {
                self.add_mistake(&registries.index(index).key("host"), problem);
            }
        }
        let secrets = FieldPath::default().key("dropIn").key("pullSecrets");
        for (index, name) in config.drop_in.pull_secrets.iter().enumerate() {
            let problem = match observe::is_secret_name(name) {
                true if index < MAX_PULL_SECRETS => continue,
                true => format!("there are more than {MAX_PULL_SECRETS} Secrets: join them"),
                false => "this is no name of a Secret (lower-case letters, digits, `-` and `.`)"
                    .to_owned(),
            };
            if !self.0.is_invalid(&secrets) {
                self.add_mistake(&secrets.index(index), problem);
            }
        }
        let directory = FieldPath::default().key("journal").key("directory");
        if config
            .journal
            .directory
            .as_ref()
            .is_some_and(|path| path.as_os_str().is_empty())
        {
            self.add_mistake(&directory, EMPTY_PATH);
        }
        let known = FieldPath::default().key("knownSecrets");
        if !self.0.is_invalid(&known) {
            self.add_mistakes_below(&known, config.known_secrets.problems());
        }
        let tls = FieldPath::default().key("traces").key("tls");
        let traces = config.traces.as_ref().map(|traces| traces.tls.check());
        if let (Some(Err(error)), false) = (traces, self.0.is_invalid(&tls)) {
            self.add_mistake(&tls, error.to_string());
        }
        for (path, sink) in self.sinks_of(&config) {
            let mut wires = vec![(path.key("to"), &sink.to)];
            if let Some(dead_letters) = &sink.dead_letter_sink {
                wires.push((path.key("deadLetterSink").key("to"), &dead_letters.to));
            }
            for (path, to) in wires {
                for (field, problem) in to.problems() {
                    let field = path.join(FieldPath::parse(&field).unwrap_or_default());
                    // A field with a mistake already has a message: this problem may only be a
                    // consequence of it.
                    if !self.0.is_invalid(&field) {
                        self.add_mistake(&field, format!("sink `{}`: {problem}", sink.name));
                    }
                }
            }
        }
    }
}

/// Reported for an empty path.
const EMPTY_PATH: &str = "the path is empty: name a file or folder";
