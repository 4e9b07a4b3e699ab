//! Returns memory that is not used to the system at intervals: freed memory, and the program's machine
//! code (its text) and constants. A start, a load of a plugin or a burst uses some 25 MiB of text and
//! constants, the idle program one MiB.

use std::ffi::c_void;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;
use step_observer::allocator;
use tracing::debug;

/// Time between two returns.
const INTERVAL: Duration = Duration::from_secs(30);

/// Returns freed memory, and unmaps text and constants, every 30 seconds. When unmapped pages are used
/// again, the system maps them from its file cache, 16 at a time. For all pages, this takes less than a
/// millisecond.
///
/// Freed memory also returns whenever the runtime waits, but not again within five seconds. What is freed
/// in these seconds, at the end of a burst, would stay until the program has work again.
pub(super) fn return_at_intervals() {
    let return_memory = || {
        let mut unmaps = true;
        loop {
            std::thread::sleep(INTERVAL);
            allocator::trim_sometimes();
            if unmaps && let Err(error) = unmap() {
                debug!(%error, "unused text and constants of the program stay in memory");
                unmaps = false;
            }
        }
    };
    let thread = std::thread::Builder::new().name("unused-memory".to_owned());
    if let Err(error) = thread.spawn(return_memory) {
        debug!(%error, "unused memory does not return at intervals");
    }
}

#[expect(
    unsafe_code,
    reason = "the system changes mappings through a raw address"
)]
fn unmap() -> std::io::Result<()> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    for mapping in unwritten_mappings(&maps, &std::fs::read_link("/proc/self/exe")?) {
        let start = std::ptr::with_exposed_provenance_mut::<c_void>(mapping.start);
        // SAFETY: the range maps the program's file and was never writable. So each of its pages is
        // mapped again with the same bytes when it is used.
        unsafe { rustix::mm::madvise(start, mapping.len(), rustix::mm::Advice::LinuxDontNeed)? };
    }
    Ok(())
}

/// Returns the addresses of the mappings of a program that were never writable, from the text of
/// `/proc/PID/maps`: its text, and the segment at the beginning of its file, which holds the constants.
///
/// Another mapping that cannot be written may have been writable before: the loader relocates data, and
/// then protects it (`PT_GNU_RELRO`). The file lacks these addresses. That data is part of a segment that can
/// be written, which never begins with the header of the file.
fn unwritten_mappings(maps: &str, program: &Path) -> Vec<Range<usize>> {
    let mappings = maps.lines().filter_map(|line| {
        // Address, permissions, offset, device, inode, and the path after blanks.
        let mut fields = line.splitn(6, ' ');
        let (addresses, permissions) = (fields.next()?, fields.next()?);
        let offset = u64::from_str_radix(fields.next()?, 16).ok()?;
        let path = fields.nth(2)?.trim_start();
        let (start, end) = addresses.split_once('-')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        let is_unwritten = permissions == "r-xp" || (permissions == "r--p" && offset == 0);
        let is_of_program = Path::new(path) == program;
        (is_unwritten && is_of_program).then_some(address(start)?..address(end)?)
    });
    mappings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_and_constants_of_the_program_are_unmapped() {
        let maps = "\
            55d0c0000000-55d0c0400000 r--p 00000000 fe:00 11                         /bin/program\n\
            55d0c0400000-55d0c2400000 r-xp 00400000 fe:00 11                         /bin/program\n\
            55d0c2400000-55d0c2500000 r--p 02400000 fe:00 11                         /bin/program\n\
            55d0c2500000-55d0c2600000 rw-p 02500000 fe:00 11                         /bin/program\n\
            55d0c2600000-55d0c2700000 rw-p 00000000 fe:00 11                         /bin/program\n\
            7f0000000000-7f0000010000 r-xp 00000000 00:00 0 \n\
            7f1000000000-7f1000010000 r-xp 00000000 fe:00 12                         /lib/other (deleted)\n\
            7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]\n";
        let found = unwritten_mappings(maps, Path::new("/bin/program"));
        let [constants, text] = &*found else {
            panic!("{found:?}")
        };
        assert_eq!(*constants, 0x55d0_c000_0000..0x55d0_c040_0000);
        assert_eq!(*text, 0x55d0_c040_0000..0x55d0_c240_0000);
        assert!(unwritten_mappings(maps, Path::new("/lib/other")).is_empty());
    }

    #[test]
    fn the_program_runs_on_without_its_text_and_constants_in_memory() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let program = std::fs::read_link("/proc/self/exe").unwrap();
        assert!(!unwritten_mappings(&maps, &program).is_empty());
        unmap().unwrap();
        assert_eq!(
            format!("{:?}", "1,2".split(',').collect::<Vec<_>>()),
            r#"["1", "2"]"#
        );
    }
}
