//! Pure. Decompresses unverified content within bounds, and detects content that was decompressed on its way.

use std::io::Read as _;

use flate2::bufread::{GzDecoder, ZlibDecoder};

/// Decompresses gzip or zlib content (RFC 1952, RFC 1950), if it is complete and not too long. Always returns
/// the number of decompressed bytes.
///
/// Content with several members is skipped. No sender compresses a body in that way, and each member may be
/// empty and still cost as much as 32 KiB.
pub(crate) fn unpacked(content: &[u8]) -> (Option<Vec<u8>>, usize) {
    // One byte above the limit shows that the limit is exceeded.
    let limit = u64::try_from(LONGEST_UNPACKED).unwrap_or(u64::MAX).saturating_add(1);
    let mut unpacked = Vec::new();
    let read = if is_gzip(content) {
        let mut decoder = GzDecoder::new(content);
        let read = decoder.by_ref().take(limit).read_to_end(&mut unpacked);
        read.map(|_| decoder.into_inner())
    } else if is_zlib(content) {
        let mut decoder = ZlibDecoder::new(content);
        let read = decoder.by_ref().take(limit).read_to_end(&mut unpacked);
        read.map(|_| decoder.into_inner())
    } else {
        return (None, 0);
    };
    let len = unpacked.len();
    let is_whole = read.is_ok_and(<[u8]>::is_empty) && len <= LONGEST_UNPACKED;
    (is_whole.then_some(unpacked), len)
}

/// Whether the fields say that the content is compressed although it is not. The signed bytes cannot be
/// restored: two compressors, or two versions of one, produce different bytes.
pub(crate) fn is_unpacked<'v>(mut encodings: impl Iterator<Item = &'v [u8]>, content: &[u8]) -> bool {
    let said = encodings.any(|encoding| CODINGS.iter().any(|coding| encoding.eq_ignore_ascii_case(coding)));
    said && matches!(content.trim_ascii_start().first(), Some(b'{' | b'[' | b'<'))
}

/// Whether content begins like gzip (RFC 1952, section 2.3.1): two identifying bytes, and the only
/// compression method.
fn is_gzip(content: &[u8]) -> bool {
    content.starts_with(&[0x1f, 0x8b, 8])
}

/// Whether content begins like zlib (RFC 1950, section 2.2): the method, and a check of two bytes. No text
/// format begins with the method's byte.
fn is_zlib(content: &[u8]) -> bool {
    match content {
        [method @ 0x78, flags, ..] => u16::from_be_bytes([*method, *flags]) % 31 == 0,
        _ => false,
    }
}

/// The content codings in use (RFC 9110, section 8.4.1).
const CODINGS: [&[u8]; 5] = [b"gzip", b"x-gzip", b"deflate", b"br", b"zstd"];

/// The most bytes of decompressed content. Guards against small content that decompresses to very much.
const LONGEST_UNPACKED: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn compressed_content_is_decompressed_if_it_is_complete() {
        let content = b"{\"a\":1}".repeat(100);
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&content).unwrap();
        let packed = [gzip(&content), encoder.finish().unwrap()];
        for packed in packed {
            assert_eq!(unpacked(&packed).0.as_deref(), Some(content.as_slice()));
            assert_eq!(unpacked(&packed[..packed.len() - 5]).0, None, "cut off");
            assert_eq!(unpacked(&[packed.as_slice(), &packed].concat()).0, None, "two of them");
        }
        assert_eq!(unpacked(&content), (None, 0));
        assert_eq!(unpacked(b""), (None, 0));
    }

    #[test]
    fn content_that_decompresses_beyond_the_limit_is_given_up() {
        let just = vec![0; LONGEST_UNPACKED];
        assert_eq!(unpacked(&gzip(&just)).0.map(|unpacked| unpacked.len()), Some(LONGEST_UNPACKED));
        let bomb = gzip(&vec![0; LONGEST_UNPACKED + 1]);
        assert!(bomb.len() < 2000);
        assert_eq!(unpacked(&bomb), (None, LONGEST_UNPACKED + 1));
    }

    #[test]
    fn content_was_decompressed_if_only_its_fields_say_compressed() {
        let is = |encoding: &str, content: &[u8]| is_unpacked([encoding.as_bytes()].into_iter(), content);
        assert!(is("gzip", b" {}") && is("GZIP", b"[]") && is("br", b"{}"));
        assert!(!is("identity", b"{}") && !is("gzip", &gzip(b"{}")) && !is("gzip", b""));
        assert!(!is_unpacked([].into_iter(), b"{}"));
    }

    proptest! {
        #[test]
        fn no_content_panics(content: Vec<u8>) {
            let _any = unpacked(&[&[0x1f, 0x8b, 8], content.as_slice()].concat());
            let _any = unpacked(&[&[0x78, 0x9c], content.as_slice()].concat());
        }
    }
}
