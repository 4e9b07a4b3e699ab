//! Assigns each TaskRun to one of several observers.

/// One of several observers that share a cluster. Exactly one of them observes each TaskRun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    ordinal: u32,
    total: u32,
}

impl Default for Shard {
    fn default() -> Self {
        Self {
            ordinal: 0,
            total: 1,
        }
    }
}

impl Shard {
    /// Creates the shard with this number, from 0; `None` if `ordinal` is not below `total`.
    #[must_use]
    pub fn new(ordinal: u32, total: u32) -> Option<Self> {
        (ordinal < total).then_some(Self { ordinal, total })
    }

    /// Returns the number of this shard and the number of all shards; `None` if it is the only one.
    #[must_use]
    pub fn ordinal_and_total(self) -> Option<(u32, u32)> {
        (self.total > 1).then_some((self.ordinal, self.total))
    }

    /// Returns true if this shard observes the TaskRun.
    #[must_use]
    pub fn owns(self, run_uid: &str) -> bool {
        self.total == 1 || jump(hash(run_uid), self.total) == self.ordinal
    }
}

/// FNV-1a with 64 bits. Must never change: all observers of a cluster must agree.
fn hash(text: &str) -> u64 {
    let bytes = text.bytes();
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Jump consistent hash (Lamping and Veach, 2014), as in kube-state-metrics. If the total grows from n
/// to m, only (m - n) / m of the keys move, all of them to new shards.
fn jump(mut key: u64, total: u32) -> u32 {
    let (mut found, mut next) = (0, 0_u64);
    while next < u64::from(total) {
        found = u32::try_from(next).unwrap_or(u32::MAX);
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let step = f64::from(1_u32 << 31) / ((key >> 33) as f64 + 1.0);
        next = ((f64::from(found) + 1.0) * step) as u64;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(uid: &str, total: u32) -> Vec<u32> {
        let shards = (0..total)
            .filter(|ordinal| Shard::new(*ordinal, total).is_some_and(|shard| shard.owns(uid)));
        shards.collect()
    }

    fn uid(number: u32) -> String {
        format!("{number:08x}-8c11-4cd4-8fdf-3aa4cb287408")
    }

    #[test]
    fn every_run_has_one_owner_and_the_runs_are_spread() {
        for total in [1, 2, 3, 7, 16] {
            let mut counts = vec![0; total as usize];
            for uid in (0..8000).map(uid) {
                let owners = owners(&uid, total);
                assert_eq!(owners.len(), 1, "{uid}");
                counts[owners[0] as usize] += 1;
            }
            let fair = 8000 / total;
            for count in counts {
                assert!(
                    (fair * 8 / 10..=fair * 12 / 10).contains(&count),
                    "{count} of {fair}"
                );
            }
        }
    }

    #[test]
    fn a_run_moves_only_to_a_new_shard() {
        for uid in (0..2000).map(uid) {
            let (two, three) = (owners(&uid, 2), owners(&uid, 3));
            assert!(three == two || three == [2], "{uid}");
        }
    }

    #[test]
    fn owners_agree_with_stored_values() {
        assert_eq!(hash("foobar"), 0x8594_4171_f739_67e8);
        let found: Vec<u32> = (0..8).map(|number| owners(&uid(number), 5)[0]).collect();
        assert_eq!(found, [1, 4, 2, 1, 0, 2, 1, 3]);
    }

    #[test]
    fn there_is_no_shard_beyond_the_last() {
        assert_eq!(Shard::new(3, 3), None);
        assert_eq!(Shard::new(0, 0), None);
        assert_eq!(Shard::default().ordinal_and_total(), None);
    }
}
