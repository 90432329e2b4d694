//! Pure. The files of the console that are part of the program. The name of a file contains the digest of its
//! content, so browsers may keep the file for ever.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

/// A file.
#[derive(Debug)]
pub(crate) struct Asset {
    /// The name, with the digest.
    pub(crate) name: String,
    /// The media type.
    pub(crate) media_type: &'static str,
    /// The content.
    pub(crate) content: &'static [u8],
}

/// The style sheet.
pub(crate) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| asset("css", "text/css; charset=utf-8", include_bytes!("assets/console.css")));

/// The script.
pub(crate) static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| asset("js", "text/javascript; charset=utf-8", include_bytes!("assets/console.js")));

fn asset(ending: &str, media_type: &'static str, content: &'static [u8]) -> Asset {
    let digest = hex::encode(Sha256::digest(content));
    let name = format!("console-{}.{ending}", digest.get(..16).unwrap_or_default());
    Asset { name, media_type, content }
}

/// The file with this name.
pub(crate) fn find(name: &str) -> Option<&'static Asset> {
    [&*STYLE, &*SCRIPT].into_iter().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn all_files_together_are_small() {
        let compressed = |asset: &Asset| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(asset.content).unwrap();
            encoder.finish().unwrap().len()
        };
        let size = compressed(&STYLE) + compressed(&SCRIPT);
        assert!(size < 40 * 1024, "{size} bytes");
    }

    #[test]
    fn a_file_is_found_by_its_whole_name_only() {
        assert_eq!(find(&STYLE.name).map(|asset| asset.media_type), Some(STYLE.media_type));
        assert_eq!(find(&SCRIPT.name).map(|asset| asset.content.len()), Some(SCRIPT.content.len()));
        assert!(find("console.css").is_none() && find("").is_none());
    }

    #[test]
    fn nothing_in_the_files_loads_from_elsewhere_or_makes_markup_of_text() {
        for asset in [&*STYLE, &*SCRIPT] {
            let text = std::str::from_utf8(asset.content).unwrap();
            for word in
                ["http:", "https:", "innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "document.write"]
            {
                assert!(!text.contains(word), "{word} in {}", asset.name);
            }
        }
    }
}
