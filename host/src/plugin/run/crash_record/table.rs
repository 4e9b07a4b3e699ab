//! The format of the file `plugin-calls`, and the rule that decides which plugins are refused.

/// Sizes of the header, of a slot and of a suspect in bytes.
pub(super) const HEADER_BYTES: usize = 128;
pub(super) const SLOT_BYTES: usize = 64;
pub(super) const SUSPECT_BYTES: usize = 64;
/// Largest number of calls that are recorded at a time, equal to the largest number of instances.
pub(super) const SLOT_COUNT: usize = 32;
/// Bound of the suspected plugins.
pub(super) const MAX_SUSPECTS: usize = 512;

/// First bytes of the file.
const MAGIC: &[u8; 32] = b"step-observer plugin calls 1\n\0\0\0";
/// Longest id of a boot in bytes.
const MAX_BOOT_ID_BYTES: usize = 64;
/// Number of deaths after which a plugin is refused.
const DEATHS_UNTIL_REFUSAL: u32 = 2;

/// SHA-256 of a plugin's module and settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PluginKey(pub(super) [u8; 32]);

/// State of the process that wrote the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    running: bool,
    boot: Vec<u8>,
}

impl Header {
    pub(super) fn stopped(boot: &str) -> Self {
        let boot = boot.trim().bytes().take(MAX_BOOT_ID_BYTES).collect();
        Self {
            running: false,
            boot,
        }
    }

    pub(super) fn running(&self) -> Self {
        Self {
            running: true,
            boot: self.boot.clone(),
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.running
    }

    pub(super) fn same_boot(&self, other: &Self) -> bool {
        self.boot == other.boot
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.get(..HEADER_BYTES)?.strip_prefix(MAGIC)?;
        let (running, boot) = (
            rest.first()?,
            rest.get(HEADER_BYTES - MAGIC.len() - MAX_BOOT_ID_BYTES..)?,
        );
        let end = boot
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(MAX_BOOT_ID_BYTES);
        Some(Self {
            running: *running == 1,
            boot: boot.get(..end)?.to_vec(),
        })
    }

    pub(super) fn bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let (head, boot) = bytes.split_at_mut(HEADER_BYTES - MAX_BOOT_ID_BYTES);
        head.iter_mut()
            .zip(MAGIC)
            .for_each(|(to, from)| *to = *from);
        if let Some(running) = head.get_mut(MAGIC.len()) {
            *running = u8::from(self.running);
        }
        boot.iter_mut()
            .zip(&self.boot)
            .for_each(|(to, from)| *to = *from);
        bytes
    }
}

/// A call that mark_running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) key: PluginKey,
    /// Microseconds after the start of the process.
    pub(super) began: u64,
}

impl Slot {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (key, rest) = bytes.split_first_chunk::<32>()?;
        let (began, rest) = rest.split_first_chunk::<8>()?;
        (rest.first() == Some(&1)).then_some(Self {
            key: PluginKey(*key),
            began: u64::from_le_bytes(*began),
        })
    }

    pub(super) fn bytes(&self) -> [u8; SLOT_BYTES] {
        fields(&self.key, &self.began.to_le_bytes(), &[1])
    }
}

/// A plugin during whose calls the process died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Suspect {
    key: PluginKey,
    deaths: u32,
    refused: bool,
}

impl Suspect {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (key, rest) = bytes.split_first_chunk::<32>()?;
        let (deaths, rest) = rest.split_first_chunk::<4>()?;
        let deaths = u32::from_le_bytes(*deaths);
        (deaths > 0).then_some(Self {
            key: PluginKey(*key),
            deaths,
            refused: rest.first() == Some(&1),
        })
    }

    fn bytes(&self) -> [u8; SUSPECT_BYTES] {
        fields(
            &self.key,
            &self.deaths.to_le_bytes(),
            &[u8::from(self.refused)],
        )
    }
}

fn fields<const FILE_BYTES: usize>(
    key: &PluginKey,
    number: &[u8],
    flag: &[u8],
) -> [u8; FILE_BYTES] {
    let mut bytes = [0; FILE_BYTES];
    let all = key.0.iter().chain(number).chain(flag);
    bytes.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
    bytes
}

/// All suspects, ordered by the time of the last death.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Suspects(Vec<Suspect>);

impl Suspects {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let entries = bytes.chunks_exact(SUSPECT_BYTES).take(MAX_SUSPECTS);
        Self(entries.filter_map(Suspect::parse).collect())
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.0.iter().flat_map(Suspect::bytes).collect();
        bytes.resize(MAX_SUSPECTS * SUSPECT_BYTES, 0);
        bytes
    }

    /// Counts a death of the process during these calls. Each plugin that was called becomes a
    /// suspect. If several of them were suspects before, only the one with the longest call is
    /// refused. A call that ends the process has usually run for a while; another plugin rarely has
    /// a long call at both deaths.
    pub(super) fn count_death(&mut self, calls: &[Slot]) {
        let mut calls: Vec<Slot> = calls.to_vec();
        calls.sort_by_key(|call| (call.began, call.key));
        let mut seen = Vec::new();
        let mut refused = false;
        for Slot { key, .. } in calls {
            if seen.contains(&key) {
                continue;
            }
            seen.push(key);
            let known = self.0.iter().position(|entry| entry.key == key);
            let mut entry = match known {
                Some(index) => self.0.remove(index),
                None => Suspect {
                    key,
                    deaths: 0,
                    refused: false,
                },
            };
            entry.deaths = entry.deaths.saturating_add(1);
            if entry.deaths >= DEATHS_UNTIL_REFUSAL && !refused {
                entry.refused = true;
                refused = true;
            }
            self.0.push(entry);
        }
        // The suspects with the oldest deaths are removed.
        let surplus = self.0.len().saturating_sub(MAX_SUSPECTS);
        self.0.drain(..surplus);
    }

    pub(super) fn deaths(&self, key: PluginKey) -> u32 {
        let found = self.0.iter().find(|entry| entry.key == key);
        found.map_or(0, |entry| entry.deaths)
    }

    pub(super) fn deaths_if_refused(&self, key: PluginKey) -> Option<u32> {
        let found = self
            .0
            .iter()
            .find(|entry| entry.key == key && entry.refused);
        found.map(|entry| entry.deaths)
    }

    pub(super) fn clear(&mut self, key: PluginKey) {
        self.0.retain(|entry| entry.key != key);
    }
}
