//! What stands in the file, as bytes, and what follows from a death.

/// Bytes of the header, of a slot and of a plugin that is suspected.
pub(super) const HEADER: usize = 128;
pub(super) const SLOT: usize = 64;
pub(super) const ENTRY: usize = 64;
/// Calls that are noted at a time: as many as instances can exist.
pub(super) const SLOTS: usize = 32;
/// Plugins that are remembered.
pub(super) const TABLE: usize = 512;

/// How the file begins.
const MAGIC: &[u8; 32] = b"step-observer plugin calls 1\n\0\0\0";
/// Longest name of a boot.
const BOOT: usize = 64;
/// A plugin during whose calls the process died so often is refused.
const DEATHS: u32 = 2;

/// SHA-256 of a plugin's module and settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(pub(super) [u8; 32]);

/// Whose file it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    running: bool,
    boot: Vec<u8>,
}

impl Header {
    pub(super) fn stopped(boot: &str) -> Self {
        let boot = boot.trim().bytes().take(BOOT).collect();
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
        let rest = bytes.get(..HEADER)?.strip_prefix(MAGIC)?;
        let (running, boot) = (rest.first()?, rest.get(HEADER - MAGIC.len() - BOOT..)?);
        let end = boot.iter().position(|byte| *byte == 0).unwrap_or(BOOT);
        Some(Self {
            running: *running == 1,
            boot: boot.get(..end)?.to_vec(),
        })
    }

    pub(super) fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let (head, boot) = bytes.split_at_mut(HEADER - BOOT);
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

/// A call that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) key: Key,
    /// Microseconds after the process's start.
    pub(super) began: u64,
}

impl Slot {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (key, rest) = bytes.split_first_chunk::<32>()?;
        let (began, rest) = rest.split_first_chunk::<8>()?;
        (rest.first() == Some(&1)).then_some(Self {
            key: Key(*key),
            began: u64::from_le_bytes(*began),
        })
    }

    pub(super) fn bytes(&self) -> [u8; SLOT] {
        fields(&self.key, &self.began.to_le_bytes(), &[1])
    }
}

/// A plugin during whose calls the process died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    key: Key,
    deaths: u32,
    refused: bool,
}

impl Entry {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (key, rest) = bytes.split_first_chunk::<32>()?;
        let (deaths, rest) = rest.split_first_chunk::<4>()?;
        let deaths = u32::from_le_bytes(*deaths);
        (deaths > 0).then_some(Self {
            key: Key(*key),
            deaths,
            refused: rest.first() == Some(&1),
        })
    }

    fn bytes(&self) -> [u8; ENTRY] {
        fields(
            &self.key,
            &self.deaths.to_le_bytes(),
            &[u8::from(self.refused)],
        )
    }
}

fn fields<const SIZE: usize>(key: &Key, number: &[u8], flag: &[u8]) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    let all = key.0.iter().chain(number).chain(flag);
    bytes.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
    bytes
}

/// All of them, the one that died last at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table(Vec<Entry>);

impl Table {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let entries = bytes.chunks_exact(ENTRY).take(TABLE);
        Self(entries.filter_map(Entry::parse).collect())
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.0.iter().flat_map(Entry::bytes).collect();
        bytes.resize(TABLE * ENTRY, 0);
        bytes
    }

    /// The process died while these calls ran. Each plugin among them is suspected; of those that are for the second
    /// time, the one whose call ran longest is refused, and no other: a call that ends the process has mostly taken
    /// its time before, and who was only there is not there twice for long.
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
                None => Entry {
                    key,
                    deaths: 0,
                    refused: false,
                },
            };
            entry.deaths = entry.deaths.saturating_add(1);
            if entry.deaths >= DEATHS && !refused {
                entry.refused = true;
                refused = true;
            }
            self.0.push(entry);
        }
        // What died longest ago gives way.
        let surplus = self.0.len().saturating_sub(TABLE);
        self.0.drain(..surplus);
    }

    pub(super) fn deaths(&self, key: Key) -> u32 {
        let found = self.0.iter().find(|entry| entry.key == key);
        found.map_or(0, |entry| entry.deaths)
    }

    pub(super) fn refuses(&self, key: Key) -> Option<u32> {
        let found = self
            .0
            .iter()
            .find(|entry| entry.key == key && entry.refused);
        found.map(|entry| entry.deaths)
    }

    pub(super) fn clear(&mut self, key: Key) {
        self.0.retain(|entry| entry.key != key);
    }
}
