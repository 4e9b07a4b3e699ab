//! The file of a plugin in a layer.

use crate::LayerKind;
use flate2::read::MultiGzDecoder;
use std::io::Read;

/// Most entries of an archive.
const MAX_ENTRIES: usize = 1024;
/// What an archive may have beside the plugin, in bytes: headers, folders, licences.
const MAX_BESIDE: u64 = 1024 * 1024;

/// Why a layer holds no plugin.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The archive is broken.
    #[error("its layer is no readable archive: {0}")]
    Archive(#[from] std::io::Error),
    /// The archive is larger than that of any plugin.
    #[error("its layer is larger than {0} bytes when it is unpacked")]
    Size(u64),
    /// The archive has too many entries.
    #[error("its layer has more than {MAX_ENTRIES} files")]
    Entries,
    /// It is not clear which file is the plugin.
    #[error(
        "its layer has {0} files that end in .wasm, and a plugin is one: COPY only that into an image FROM scratch"
    )]
    Modules(usize),
}

impl LayerKind {
    /// Takes the file of the plugin from a layer. `max_bytes` is the size of the largest plugin.
    ///
    /// # Errors
    ///
    /// The layer is an archive that is broken or too large, or that does not have one file that ends in `.wasm`.
    pub fn module(self, layer: Vec<u8>, max_bytes: u64) -> Result<Vec<u8>, LayerError> {
        match self {
            Self::Module => Ok(layer),
            Self::Tar => unpack(&*layer, max_bytes),
            Self::TarGzip => unpack(MultiGzDecoder::new(&*layer), max_bytes),
        }
    }
}

fn unpack(archive: impl Read, max_bytes: u64) -> Result<Vec<u8>, LayerError> {
    let most = max_bytes.saturating_add(MAX_BESIDE);
    // One more byte shows that there is more.
    let mut archive = tar::Archive::new(archive.take(most.saturating_add(1)));
    let (mut module, mut modules) = (Vec::new(), 0_usize);
    let mut unpacked = 0_u64;
    for (index, entry) in archive.entries()?.enumerate() {
        if index >= MAX_ENTRIES {
            return Err(LayerError::Entries);
        }
        let mut entry = entry?;
        // The size that a header states is read from the archive, whatever the archive has.
        unpacked = unpacked.saturating_add(entry.size());
        if unpacked > most {
            return Err(LayerError::Size(most));
        }
        let is_file = entry.header().entry_type().is_file();
        if is_file && entry.path_bytes().ends_with(b".wasm") {
            modules = modules.saturating_add(1);
            module.clear();
            entry.read_to_end(&mut module)?;
        }
    }
    match modules {
        1 => Ok(module),
        other => Err(LayerError::Modules(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write as _;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, *content).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn refused(layer: Vec<u8>, kind: LayerKind) -> String {
        kind.module(layer, 1000).unwrap_err().to_string()
    }

    #[test]
    fn the_module_is_the_layer_or_the_one_file_in_it() {
        let files: [(&str, &[u8]); 2] = [("LICENSE", b"free"), ("plugins/redact.wasm", b"\0asm")];
        let tar = archive(&files);
        for (kind, layer) in [
            (LayerKind::Module, b"\0asm".to_vec()),
            (LayerKind::Tar, tar.clone()),
            (LayerKind::TarGzip, gzip(&tar)),
        ] {
            assert_eq!(kind.module(layer, 1000).unwrap(), b"\0asm", "{kind:?}");
        }
    }

    #[test]
    fn archives_that_hold_no_plugin_are_refused() {
        let none = archive(&[("a.txt", b"")]);
        assert!(refused(none, LayerKind::Tar).starts_with("its layer has 0 files"));
        let two = archive(&[("a.wasm", b"1"), ("b.wasm", b"2")]);
        assert!(refused(two, LayerKind::Tar).starts_with("its layer has 2 files"));
        let names: Vec<String> = (0..2000).map(|number| number.to_string()).collect();
        let many: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, &b""[..])).collect();
        assert_eq!(
            refused(archive(&many), LayerKind::Tar),
            "its layer has more than 1024 files"
        );
        assert!(
            refused(b"no archive".to_vec(), LayerKind::TarGzip).contains("no readable archive")
        );
        // A link could name a file of the host.
        let mut link = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        link.append_link(&mut header, "a.wasm", "/etc/passwd")
            .unwrap();
        assert!(
            refused(link.into_inner().unwrap(), LayerKind::Tar)
                .starts_with("its layer has 0 files")
        );
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let bomb = gzip(&archive(&[("a.wasm", &vec![0; 4 * 1024 * 1024])]));
        assert!(bomb.len() < 20_000);
        assert_eq!(
            refused(bomb, LayerKind::TarGzip),
            "its layer is larger than 1049576 bytes when it is unpacked"
        );
        // A header that promises what does not follow.
        let mut lying = archive(&[("a.wasm", b"1234")]);
        lying.truncate(514);
        assert!(refused(lying, LayerKind::Tar).contains("no readable archive"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(start in any::<bool>(), bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut layer = if start { archive(&[("a.wasm", b"1234")]) } else { Vec::new() };
            layer.extend(bytes);
            for kind in [LayerKind::Tar, LayerKind::TarGzip] {
                if let Ok(module) = kind.module(layer.clone(), 100) {
                    prop_assert!(module.len() <= 100 + 1024 * 1024);
                }
            }
        }
    }
}
