//! Unmaps the program's machine code (its text) from memory at intervals. A start, a load of a
//! plugin or a burst uses some 20 MiB of it, the idle program half a MiB.

use std::ffi::c_void;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;
use tracing::debug;

/// Time between two unmappings of the text.
const INTERVAL: Duration = Duration::from_secs(30);

/// Unmaps the text every 30 seconds. When pages are used again, the system maps them from its file
/// cache, 16 at a time. For all pages, this takes less than a millisecond.
pub(super) fn unmap_at_intervals() {
    let unmap = || {
        loop {
            std::thread::sleep(INTERVAL);
            if let Err(error) = unmap() {
                debug!(%error, "unused text of the program stays in memory");
                break;
            }
        }
    };
    let thread = std::thread::Builder::new().name("program-text".to_owned());
    if let Err(error) = thread.spawn(unmap) {
        debug!(%error, "unused text of the program stays in memory");
    }
}

#[expect(
    unsafe_code,
    reason = "the system changes mappings through a raw address"
)]
fn unmap() -> std::io::Result<()> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    for text in text_mappings(&maps, &std::fs::read_link("/proc/self/exe")?) {
        let start = std::ptr::with_exposed_provenance_mut::<c_void>(text.start);
        // SAFETY: the range maps the program's file and cannot be written. So each of its pages is
        // mapped again with the same bytes when it is used.
        unsafe { rustix::mm::madvise(start, text.len(), rustix::mm::Advice::LinuxDontNeed)? };
    }
    Ok(())
}

/// Returns the addresses of the executable mappings of a program, from the text of `/proc/PID/maps`.
fn text_mappings(maps: &str, program: &Path) -> Vec<Range<usize>> {
    let text = maps.lines().filter_map(|line| {
        // Address, permissions, offset, device, inode, and the path after blanks.
        let mut fields = line.splitn(6, ' ');
        let (addresses, permissions) = (fields.next()?, fields.next()?);
        let path = fields.nth(3)?.trim_start();
        let (start, end) = addresses.split_once('-')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        let is_text = permissions == "r-xp" && Path::new(path) == program;
        is_text.then_some(address(start)?..address(end)?)
    });
    text.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_of_the_program_is_unmapped() {
        let maps = "\
            55d0c0000000-55d0c0400000 r--p 00000000 fe:00 11                         /bin/program\n\
            55d0c0400000-55d0c2400000 r-xp 00400000 fe:00 11                         /bin/program\n\
            55d0c2400000-55d0c2500000 rw-p 02400000 fe:00 11                         /bin/program\n\
            7f0000000000-7f0000010000 r-xp 00000000 00:00 0 \n\
            7f1000000000-7f1000010000 r-xp 00000000 fe:00 12                         /lib/other (deleted)\n\
            7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]\n";
        let found = text_mappings(maps, Path::new("/bin/program"));
        let [text] = &*found else { panic!("{found:?}") };
        assert_eq!(*text, 0x55d0_c040_0000..0x55d0_c240_0000);
        assert!(text_mappings(maps, Path::new("/lib/other")).is_empty());
    }

    #[test]
    fn the_program_runs_on_without_its_text_in_memory() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let program = std::fs::read_link("/proc/self/exe").unwrap();
        assert!(!text_mappings(&maps, &program).is_empty());
        unmap().unwrap();
        assert_eq!(
            format!("{:?}", "1,2".split(',').collect::<Vec<_>>()),
            r#"["1", "2"]"#
        );
    }
}
