//! Records as they are kept: each text once, then the records, which name texts by their places.
//!
//! Hosts of one fleet have most of their tags and facts in common. So an answer is read with an allocation for each text that
//! there is, not for each place where it stands, and the records share them; their tags and facts are looked at when somebody
//! asks for them. Must not know files, nor when an answer is used.
//!
//! ```text
//! packed  = texts facts tags facts { record }
//! texts   = count { length } bytes               how many, how long each is, and one behind the other
//! facts   = count { 0 text | 1 count { text } }  the values of facts
//! tags    = count { key value }                  of all records, one record behind the other; then likewise their facts
//! record  = id optional(name, state, 5 addresses, port, user) is_self
//!           count { group } count { host key } count-of-tags count-of-facts
//! ```
//!
//! Everything but the bytes is a number of 32 bits, the least significant byte first; what is optional is more by one, and 0
//! where there is nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use super::entries::{Entries, Table};
use super::protocol::{Addresses, Fact, Record};

/// The records in bytes; `None` when they have more texts, or longer ones, than can be numbered.
pub(super) fn pack(records: &[Arc<Record>]) -> Option<Vec<u8>> {
    let mut packer = Packer::default();
    records.iter().for_each(|record| packer.record(record));
    let Packer { texts, facts, tags, facts_of_records, records } = packer;
    let mut packed = Vec::new();
    push(&mut packed, [texts.all.len()])?;
    push(&mut packed, texts.all.iter().map(|text| text.len()))?;
    texts.all.iter().for_each(|text| packed.extend_from_slice(text.as_bytes()));
    push(&mut packed, [facts.all.len()])?;
    let place = |text: &Arc<str>| texts.places[&**text];
    for fact in facts.all {
        match fact {
            Fact::One(text) => push(&mut packed, [0, place(text)])?,
            Fact::Many(list) => push(&mut packed, [1, list.len()].into_iter().chain(list.iter().map(place)))?,
        }
    }
    for entries in [tags, facts_of_records] {
        push(&mut packed, [entries.len()])?;
        push(&mut packed, entries.into_iter().flatten())?;
    }
    push(&mut packed, records)?;
    Some(packed)
}

/// The records that were packed; `None` when these are no such bytes.
pub(super) fn unpack(packed: &[u8]) -> Option<Vec<Arc<Record>>> {
    let mut rest = Rest(packed);
    let texts: Arc<[Arc<str>]> = rest.texts()?.into();
    let facts = rest.facts(&texts)?;
    let tags = Table::new(Arc::clone(&texts), Arc::clone(&texts), rest.entries()?)?;
    let facts = Table::new(Arc::clone(&texts), facts.into(), rest.entries()?)?;
    let mut unpacker = Unpacker { rest, texts, tags, facts, tags_before: 0, facts_before: 0 };
    let mut records = Vec::new();
    while !unpacker.rest.0.is_empty() {
        records.push(Arc::new(unpacker.record()?));
    }
    Some(records)
}

fn push(bytes: &mut Vec<u8>, numbers: impl IntoIterator<Item = usize>) -> Option<()> {
    for number in numbers {
        bytes.extend_from_slice(&u32::try_from(number).ok()?.to_le_bytes());
    }
    Some(())
}

/// What was packed so far.
#[derive(Default)]
struct Packer<'a> {
    texts: Numbered<&'a str>,
    facts: Numbered<&'a Fact>,
    tags: Vec<[usize; 2]>,
    facts_of_records: Vec<[usize; 2]>,
    records: Vec<usize>,
}

impl<'a> Packer<'a> {
    fn record(&mut self, record: &'a Record) {
        let Record { id, name, state, addresses, port, user, tags, groups, is_self, host_keys, facts } = record;
        let Addresses { private, public, ipv6, private_dns, public_dns } = addresses;
        let id = self.texts.place(id);
        self.records.push(id);
        for text in [name, state, private, public, ipv6, private_dns, public_dns] {
            self.optional(text.as_ref());
        }
        self.records.push(port.map_or(0, |port| usize::from(port) + 1));
        self.optional(user.as_ref());
        self.records.push(usize::from(*is_self));
        for list in [groups, host_keys] {
            self.records.push(list.len());
            self.records.extend(list.iter().map(|text| self.texts.place(text)));
        }
        self.records.extend([tags.len(), facts.len()]);
        self.tags.extend(tags.iter().map(|(key, value)| [key, value].map(|text| self.texts.place(text))));
        for (key, fact) in facts.iter() {
            for text in fact.texts() {
                self.texts.place(text);
            }
            self.facts_of_records.push([self.texts.place(key), self.facts.place(fact)]);
        }
    }

    fn optional(&mut self, text: Option<&'a Arc<str>>) {
        self.records.push(text.map_or(0, |text| self.texts.place(text) + 1));
    }
}

/// Things in the order in which they were met, each once.
struct Numbered<T> {
    all: Vec<T>,
    places: HashMap<T, usize>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { all: Vec::new(), places: HashMap::new() }
    }
}

impl<T: Copy + Eq + Hash> Numbered<T> {
    /// The place of a thing, which is added when it is new.
    fn place(&mut self, thing: T) -> usize {
        *self.places.entry(thing).or_insert_with(|| {
            self.all.push(thing);
            self.all.len() - 1
        })
    }
}

/// What is left to be unpacked. Whatever it holds, nothing is reserved that its length does not warrant.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn texts(&mut self) -> Option<Vec<Arc<str>>> {
        let count = self.count()?;
        let lengths = (0..count).map(|_| self.place()).collect::<Option<Vec<usize>>>()?;
        let all = lengths.iter().try_fold(0_usize, |all, length| all.checked_add(*length))?;
        let (bytes, rest) = self.0.split_at_checked(all)?;
        let (mut bytes, mut texts) = (std::str::from_utf8(bytes).ok()?, Vec::with_capacity(count));
        for length in lengths {
            let (text, behind) = bytes.split_at_checked(length)?;
            texts.push(text.into());
            bytes = behind;
        }
        self.0 = rest;
        Some(texts)
    }

    fn facts(&mut self, texts: &[Arc<str>]) -> Option<Vec<Fact>> {
        let mut facts = Vec::new();
        for _ in 0..self.count()? {
            facts.push(match self.number()? {
                0 => Fact::One(self.text(texts)?),
                1 => Fact::Many(self.list(texts)?),
                _ => return None,
            });
        }
        Some(facts)
    }

    fn entries(&mut self) -> Option<Box<[(u32, u32)]>> {
        let count = self.count()?;
        let (entries, rest) = self.0.split_at_checked(count.checked_mul(8)?)?;
        self.0 = rest;
        let number = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
        let (numbers, _) = entries.as_chunks();
        Some(numbers.chunks_exact(2).map(|entry| (number(&entry[0]), number(&entry[1]))).collect())
    }

    fn list(&mut self, texts: &[Arc<str>]) -> Option<Vec<Arc<str>>> {
        let count = self.count()?;
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(self.text(texts)?);
        }
        Some(list)
    }

    fn optional(&mut self, texts: &[Arc<str>]) -> Option<Option<Arc<str>>> {
        match self.place()? {
            0 => Some(None),
            place => texts.get(place - 1).cloned().map(Some),
        }
    }

    fn text(&mut self, texts: &[Arc<str>]) -> Option<Arc<str>> {
        texts.get(self.place()?).cloned()
    }

    /// How many follow, of which each is a number at least.
    fn count(&mut self) -> Option<usize> {
        self.place().filter(|count| *count <= self.0.len() / 4)
    }

    fn place(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*number))
    }
}

/// The records that are left, and what they have in common.
struct Unpacker<'a> {
    rest: Rest<'a>,
    texts: Arc<[Arc<str>]>,
    tags: Arc<Table<Arc<str>>>,
    facts: Arc<Table<Fact>>,
    tags_before: u32,
    facts_before: u32,
}

impl Unpacker<'_> {
    fn record(&mut self) -> Option<Record> {
        let (rest, texts) = (&mut self.rest, &self.texts);
        // Fields are read in the order in which they are written here.
        Some(Record {
            id: rest.text(texts)?,
            name: rest.optional(texts)?,
            state: rest.optional(texts)?,
            addresses: Addresses {
                private: rest.optional(texts)?,
                public: rest.optional(texts)?,
                ipv6: rest.optional(texts)?,
                private_dns: rest.optional(texts)?,
                public_dns: rest.optional(texts)?,
            },
            port: rest.place()?.checked_sub(1).map(u16::try_from).transpose().ok()?,
            user: rest.optional(texts)?,
            is_self: rest.number()? != 0,
            groups: rest.list(texts)?,
            host_keys: rest.list(texts)?,
            tags: next(&self.tags, &mut self.tags_before, rest.number()?)?,
            facts: next(&self.facts, &mut self.facts_before, rest.number()?)?,
        })
    }
}

/// The next `count` entries behind those `before`.
fn next<V>(table: &Arc<Table<V>>, before: &mut u32, count: u32) -> Option<Entries<V>> {
    let start = *before;
    *before = start.checked_add(count)?;
    Entries::of(table, start..*before)
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
