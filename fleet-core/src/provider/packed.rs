//! Records as they are kept: each text once, then the records, which name texts by their places.
//!
//! Hosts of one fleet have most of their tags and facts in common. So an answer is read with an allocation for each text that
//! there is, not for each place where it stands, and the records share them. Must not know files, nor when an answer is used.
//!
//! ```text
//! packed  = count { length } bytes { record }       of all texts: how many, how long each is, and one behind the other
//! record  = id optional(name, state, 5 addresses, port, user) is_self
//!           count { key value } count { group } count { host key } count { key fact }
//! fact    = 0 value | 1 count { value }
//! ```
//!
//! Everything but the bytes is a number of 32 bits, the least significant byte first; what is optional is more by one, and 0
//! where there is nothing.

use std::collections::HashMap;
use std::sync::Arc;

use super::entries::Entries;
use super::protocol::{Addresses, Fact, Record};

/// The records in bytes; `None` when they have more texts, or longer ones, than can be numbered.
pub(super) fn pack(records: &[Arc<Record>]) -> Option<Vec<u8>> {
    let mut packer = Packer::default();
    records.iter().try_for_each(|record| packer.record(record))?;
    let mut packed = Vec::new();
    push(&mut packed, packer.texts.len())?;
    packer.texts.iter().try_for_each(|text| push(&mut packed, text.len()))?;
    packer.texts.iter().for_each(|text| packed.extend_from_slice(text.as_bytes()));
    packed.append(&mut packer.records);
    Some(packed)
}

/// The records that were packed; `None` when these are no such bytes.
pub(super) fn unpack(packed: &[u8]) -> Option<Vec<Arc<Record>>> {
    let mut unpacker = Unpacker { rest: packed, texts: Vec::new() };
    unpacker.texts()?;
    let mut records = Vec::new();
    while !unpacker.rest.is_empty() {
        records.push(Arc::new(unpacker.record()?));
    }
    Some(records)
}

fn push(bytes: &mut Vec<u8>, number: usize) -> Option<()> {
    bytes.extend_from_slice(&u32::try_from(number).ok()?.to_le_bytes());
    Some(())
}

/// The texts and records that were packed so far.
#[derive(Default)]
struct Packer<'a> {
    texts: Vec<&'a str>,
    places: HashMap<&'a str, usize>,
    records: Vec<u8>,
}

impl<'a> Packer<'a> {
    fn record(&mut self, record: &'a Record) -> Option<()> {
        let Record { id, name, state, addresses, port, user, tags, groups, is_self, host_keys, facts } = record;
        let Addresses { private, public, ipv6, private_dns, public_dns } = addresses;
        self.text(id)?;
        for text in [name, state, private, public, ipv6, private_dns, public_dns] {
            self.optional(text.as_ref())?;
        }
        self.number(port.map_or(0, |port| usize::from(port) + 1))?;
        self.optional(user.as_ref())?;
        self.number(usize::from(*is_self))?;
        self.number(tags.len())?;
        tags.iter().try_for_each(|(key, value)| self.text(key).and_then(|()| self.text(value)))?;
        self.list(groups)?;
        self.list(host_keys)?;
        self.number(facts.len())?;
        facts.iter().try_for_each(|(key, fact)| self.text(key).and_then(|()| self.fact(fact)))
    }

    fn fact(&mut self, fact: &'a Fact) -> Option<()> {
        match fact {
            Fact::One(value) => self.number(0).and_then(|()| self.text(value)),
            Fact::Many(values) => self.number(1).and_then(|()| self.list(values)),
        }
    }

    fn list(&mut self, texts: &'a [Arc<str>]) -> Option<()> {
        self.number(texts.len())?;
        texts.iter().try_for_each(|text| self.text(text))
    }

    fn optional(&mut self, text: Option<&'a Arc<str>>) -> Option<()> {
        let number = text.map_or(0, |text| self.place(text) + 1);
        self.number(number)
    }

    fn text(&mut self, text: &'a str) -> Option<()> {
        let place = self.place(text);
        self.number(place)
    }

    fn number(&mut self, number: usize) -> Option<()> {
        push(&mut self.records, number)
    }

    /// The place of a text, which is added when it is new.
    fn place(&mut self, text: &'a str) -> usize {
        *self.places.entry(text).or_insert_with(|| {
            self.texts.push(text);
            self.texts.len() - 1
        })
    }
}

/// What is left to be unpacked. Whatever it holds, nothing is reserved that its length does not warrant.
struct Unpacker<'a> {
    rest: &'a [u8],
    texts: Vec<Arc<str>>,
}

impl Unpacker<'_> {
    fn texts(&mut self) -> Option<()> {
        let count = self.count()?;
        let lengths = (0..count).map(|_| self.number()).collect::<Option<Vec<usize>>>()?;
        let all = lengths.iter().try_fold(0_usize, |all, length| all.checked_add(*length))?;
        let (bytes, rest) = self.rest.split_at_checked(all)?;
        let (mut bytes, mut texts) = (std::str::from_utf8(bytes).ok()?, Vec::with_capacity(count));
        for length in lengths {
            let (text, behind) = bytes.split_at_checked(length)?;
            texts.push(text.into());
            bytes = behind;
        }
        (self.rest, self.texts) = (rest, texts);
        Some(())
    }

    fn record(&mut self) -> Option<Record> {
        // Fields are read in the order in which they are written here.
        Some(Record {
            id: self.text()?,
            name: self.optional()?,
            state: self.optional()?,
            addresses: Addresses {
                private: self.optional()?,
                public: self.optional()?,
                ipv6: self.optional()?,
                private_dns: self.optional()?,
                public_dns: self.optional()?,
            },
            port: self.number()?.checked_sub(1).map(u16::try_from).transpose().ok()?,
            user: self.optional()?,
            is_self: self.number()? != 0,
            tags: self.entries(Self::text)?,
            groups: self.list()?,
            host_keys: self.list()?,
            facts: self.entries(Self::fact)?,
        })
    }

    fn fact(&mut self) -> Option<Fact> {
        match self.number()? {
            0 => self.text().map(Fact::One),
            1 => self.list().map(Fact::Many),
            _ => None,
        }
    }

    fn entries<V>(&mut self, value: impl Fn(&mut Self) -> Option<V>) -> Option<Entries<V>> {
        let count = self.count()?;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            entries.push((self.text()?, value(self)?));
        }
        Some(entries.into())
    }

    fn list(&mut self) -> Option<Vec<Arc<str>>> {
        let count = self.count()?;
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(self.text()?);
        }
        Some(list)
    }

    fn optional(&mut self) -> Option<Option<Arc<str>>> {
        match self.number()? {
            0 => Some(None),
            number => self.texts.get(number - 1).cloned().map(Some),
        }
    }

    fn text(&mut self) -> Option<Arc<str>> {
        let place = self.number()?;
        self.texts.get(place).cloned()
    }

    /// How many follow, of which each is a number at least.
    fn count(&mut self) -> Option<usize> {
        self.number().filter(|count| *count <= self.rest.len() / 4)
    }

    fn number(&mut self) -> Option<usize> {
        let (number, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        usize::try_from(u32::from_le_bytes(*number)).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn records() -> Vec<Arc<Record>> {
        let records = json!([
            {"id": "i-1", "name": "web-1", "state": "running", "user": "admin", "port": 65535, "self": true,
             "addresses": {"private": "10.0.0.1", "public": "3.0.0.1", "ipv6": "::1", "private_dns": "p", "public_dns": "q"},
             "tags": {"Role": "web", "Note": "\u{1b}\n\u{fc}", "Empty": ""}, "groups": ["web", "i-1"], "host_keys": ["k"],
             "facts": {"az": "a", "sg": ["a", "web"], "none": []}},
            {"id": "i-2", "addresses": {"public_dns": "q"}},
        ]);
        serde_json::from_value(records).unwrap()
    }

    #[test]
    fn records_come_back_as_they_were() {
        for records in [records(), Vec::new()] {
            assert_eq!(unpack(&pack(&records).unwrap()).unwrap(), records);
        }
    }

    #[test]
    fn equal_texts_are_kept_and_allocated_once() {
        let packed = pack(&records()).unwrap();
        assert_eq!(packed.windows(5).filter(|bytes| bytes == b"Empty").count(), 1);
        let unpacked = unpack(&packed).unwrap();
        let (one, other) = (&unpacked[0], &unpacked[1]);
        let same = |a: Option<&Arc<str>>, b: Option<&Arc<str>>| Arc::ptr_eq(a.unwrap(), b.unwrap());
        assert!(same(one.tags.get("Role"), one.groups.first()));
        assert!(same(one.addresses.public_dns.as_ref(), other.addresses.public_dns.as_ref()));
    }

    #[test]
    fn a_record_takes_a_few_bytes_and_an_allocation_for_each_text_of_its_own() {
        const COUNT: usize = 1000;
        let record = |number: usize| {
            let (id, name, role) = (format!("i-{number:017x}"), format!("web-{number}"), ["web", "db"][number % 2]);
            let tags = ["Role", "Owner", "Environment", "Build", "Stack"].map(|key| (key, role));
            let facts = ["az", "vpc", "subnet", "type", "image"].map(|key| (key, role));
            let value = json!({
                "id": id, "name": name, "state": "running", "addresses": {"private": format!("10.0.{number}")},
                "tags": std::collections::BTreeMap::from(tags), "facts": std::collections::BTreeMap::from(facts),
            });
            Arc::new(serde_json::from_value(value).unwrap())
        };
        let records: Vec<Arc<Record>> = (0..COUNT).map(record).collect();
        let packed = pack(&records).unwrap();
        assert!(packed.len() < COUNT * 240, "{} bytes", packed.len());
        let unpacked = unpack(&packed).unwrap();
        let texts = unpacked.iter().flat_map(|record| {
            let own =
                [Some(&record.id), record.name.as_ref(), record.state.as_ref(), record.addresses.private.as_ref()];
            let facts =
                record.facts.values().filter_map(|fact| if let Fact::One(text) = fact { Some(text) } else { None });
            let shared =
                record.tags.iter().flat_map(|(key, value)| [key, value]).chain(record.facts.keys()).chain(facts);
            own.into_iter().flatten().chain(shared).map(|text| text.as_ptr()).collect::<Vec<_>>()
        });
        let allocated = std::collections::HashSet::<*const u8>::from_iter(texts).len();
        assert_eq!(allocated, COUNT * 3 + "running web db".split(' ').count() + 10);
    }

    #[test]
    fn what_is_cut_is_not_unpacked() {
        let packed = pack(&records()).unwrap();
        let cut: Vec<usize> = (0..packed.len()).filter(|&end| unpack(&packed[..end]) == Some(records())).collect();
        assert_eq!(cut, Vec::<usize>::new());
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are_unpacking_ends(at in 0_usize..1000, byte in any::<u8>(), bytes in any::<Vec<u8>>()) {
            let _ = unpack(&bytes);
            let mut packed = pack(&records()).unwrap();
            let at = at % packed.len();
            packed[at] = byte;
            let _ = unpack(&packed);
        }
    }
}
