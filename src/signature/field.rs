//! Pure. The notation of a signature field's value: from text to a claimed tag, and back.

use crate::signature::mac::Tag;

/// How a tag stands in its field: an exact prefix, then hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notation {
    /// What must stand before the hexadecimal digits, byte for byte; often nothing.
    pub prefix: &'static str,
}

/// The value of a signature field is not of its scheme's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MisreadField {
    /// A list (RFC 9110, section 5.6.1) where the scheme allows one value.
    List,
    /// Something else than the prefix and the digits of a tag.
    Malformed,
}

impl Notation {
    /// The tag that a field value claims. Upper-case digits are accepted; white space, quotes and lists are not.
    ///
    /// # Errors
    /// [`MisreadField`], which says whether the value is a list or no tag at all.
    pub fn read(self, value: &[u8]) -> Result<Tag, MisreadField> {
        if value.contains(&b',') {
            return Err(MisreadField::List);
        }
        let Some(digits) = value.strip_prefix(self.prefix.as_bytes()) else {
            return Err(MisreadField::Malformed);
        };
        let mut bytes = [0; 32];
        match hex::decode_to_slice(digits, &mut bytes) {
            Ok(()) => Ok(Tag::claimed(bytes)),
            Err(_not_disclosed) => Err(MisreadField::Malformed),
        }
    }

    /// The field value that a sender would write for this tag.
    #[must_use]
    pub fn write(self, tag: &Tag) -> String {
        format!("{}{}", self.prefix, hex::encode(tag.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: Notation = Notation { prefix: "" };
    const PREFIXED: Notation = Notation { prefix: "sha256=" };

    fn read(notation: Notation, value: &str) -> Result<Vec<u8>, MisreadField> {
        notation.read(value.as_bytes()).map(|tag| tag.as_bytes().to_vec())
    }

    #[test]
    fn sixty_four_digits_in_either_case_are_a_tag() {
        let lower = "0123456789abcdef".repeat(4);
        assert_eq!(read(PLAIN, &lower).unwrap(), hex::decode(&lower).unwrap());
        assert_eq!(read(PLAIN, &lower.to_uppercase()).unwrap(), hex::decode(&lower).unwrap());
        assert_eq!(read(PREFIXED, &format!("sha256={lower}")).unwrap(), hex::decode(&lower).unwrap());
    }

    #[test]
    fn anything_else_is_malformed() {
        let tag = "0123456789abcdef".repeat(4);
        for value in [
            String::new(),
            tag[1..].to_owned(),
            format!("{tag}0"),
            format!("{tag}00"),
            format!(" {tag}"),
            format!("{tag} "),
            format!("0x{}", &tag[2..]),
            format!("\"{tag}\""),
            format!("sha256={tag}"),
            format!("g{}", &tag[1..]),
            "é".repeat(32),
        ] {
            assert_eq!(read(PLAIN, &value), Err(MisreadField::Malformed), "{value:?}");
        }
        for value in
            [tag.clone(), format!("SHA256={tag}"), format!("sha1={tag}"), format!("sha256={}", &tag[1..])]
        {
            assert_eq!(read(PREFIXED, &value), Err(MisreadField::Malformed), "{value:?}");
        }
    }

    #[test]
    fn a_list_is_told_apart() {
        let tag = "0123456789abcdef".repeat(4);
        assert_eq!(read(PLAIN, &format!("{tag}, {tag}")), Err(MisreadField::List));
        assert_eq!(read(PLAIN, ","), Err(MisreadField::List));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(bytes: [u8; 32]) {
            for notation in [PLAIN, PREFIXED] {
                let value = notation.write(&Tag::claimed(bytes));
                let read = notation.read(value.as_bytes()).unwrap();
                prop_assert_eq!(read.as_bytes(), bytes);
            }
        }

        #[test]
        fn only_64_hex_digits_read_as_a_tag(value: Vec<u8>) {
            let is_tag = value.len() == 64 && value.iter().all(u8::is_ascii_hexdigit);
            prop_assert_eq!(PLAIN.read(&value).is_ok(), is_tag);
        }
    }
}
