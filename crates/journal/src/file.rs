//! One journal file: its header, its hash table, and the objects in it.
//!
//! All numbers are little-endian. Offsets count from the beginning of the file, and objects lie at
//! multiples of eight. Everything is read with `pread`: a memory map of a file that journald
//! truncates or extends meanwhile could not be made safe. An offset that makes no sense lies beyond
//! the end, where there is nothing to read.

use std::fs::File;
use std::hash::Hasher;
use std::os::unix::fs::FileExt;
use std::path::Path;

use siphasher::sip::SipHasher24;

use crate::{JournalError, failed};

const SIGNATURE: &[u8; 8] = b"LPKSHHRH";

/// The part of the header that every version since systemd 246 has.
const HEADER_BYTES: usize = 208;

/// `HEADER_INCOMPATIBLE_*`. Without keyed hashes the file is older than systemd 246.
const KEYED_HASH: u32 = 1 << 2;
const COMPACT: u32 = 1 << 4;
/// XZ, LZ4, keyed hash, ZSTD, compact: anything else is a format from the future.
const KNOWN: u32 = 0b1_1111;

const DATA: u8 = 1;
const ENTRY: u8 = 3;
const ENTRY_ARRAY: u8 = 6;

/// What precedes every object: type, flags, padding, size.
const OBJECT_HEADER: u64 = 16;

/// Data objects that share a bucket. journald rotates a file long before a chain gets this long.
const LONGEST_CHAIN: usize = 512;

/// Arrays that list the entries of one value; each is about twice as long as the one before.
const MOST_ARRAYS: usize = 64;

/// Fields of one entry; journald accepts at most 1024.
const MOST_FIELDS: usize = 1024;

/// One open file.
pub(crate) struct JournalFile {
    file: File,
    file_id: [u8; 16],
    compact: bool,
    hash_table: u64,
    buckets: u64,
}

/// The fixed part of a data object.
pub(crate) struct Data {
    pub(crate) flags: u8,
    /// Where its payload begins, and how long it is.
    pub(crate) payload: (u64, u64),
    hash: u64,
    next_in_bucket: u64,
    first_entry: u64,
    first_array: u64,
    entries: u64,
}

/// The fixed part of an entry, and the data objects that are its fields.
pub(crate) struct RawEntry {
    pub(crate) sequence: u64,
    /// Microseconds since the epoch.
    pub(crate) realtime: u64,
    pub(crate) fields: Vec<u64>,
}

impl JournalFile {
    /// # Errors
    /// Where the file cannot be read or is of another format.
    pub(crate) fn open(path: &Path) -> Result<Self, JournalError> {
        let file = File::open(path).map_err(failed(path))?;
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0).map_err(failed(path))?;
        let wrong = |problem| JournalError::Format {
            path: path.into(),
            problem,
        };
        if &header[..8] != SIGNATURE {
            return Err(wrong("is no journal file"));
        }
        let flags = u32_at(&header, 12);
        if flags & KEYED_HASH == 0 || flags & !KNOWN != 0 {
            return Err(wrong("is of a format that this reader does not know"));
        }
        let mut file_id = [0; 16];
        file_id.copy_from_slice(&header[24..40]);
        let buckets = u64_at(&header, 112) / 16;
        if buckets == 0 {
            return Err(wrong("has no hash table yet"));
        }
        Ok(Self {
            file,
            file_id,
            compact: flags & COMPACT != 0,
            hash_table: u64_at(&header, 104),
            buckets,
        })
    }

    /// Offsets of the entries that have this field, `NAME=value`, the newest first.
    pub(crate) fn newest(&self, field: &[u8]) -> impl Iterator<Item = u64> {
        let data = self.find(field);
        let arrays = data.as_ref().map(|data| self.arrays(data));
        let in_arrays = arrays.into_iter().flatten().rev();
        let listed = in_arrays.flat_map(move |(items, count)| {
            (0..count)
                .rev()
                .filter_map(move |index| self.item(items, index))
        });
        let first = data.map(|data| data.first_entry);
        listed.chain(first).filter(|offset| *offset != 0)
    }

    fn find(&self, field: &[u8]) -> Option<Data> {
        let hash = self.hash(field);
        let bucket = self.hash_table.saturating_add(hash % self.buckets * 16);
        let mut offset = u64_at(&self.read::<8>(bucket)?, 0);
        for _ in 0..LONGEST_CHAIN {
            if offset == 0 {
                return None;
            }
            let data = self.data(offset)?;
            if data.hash == hash && data.payload.1 == field.len() as u64 {
                let found = self.bytes(data.payload.0, field.len())?;
                if found == field {
                    return Some(data);
                }
            }
            offset = data.next_in_bucket;
        }
        None
    }

    fn hash(&self, field: &[u8]) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.file_id);
        hasher.write(field);
        hasher.finish()
    }

    pub(crate) fn data(&self, offset: u64) -> Option<Data> {
        let fixed = self.read::<64>(offset)?;
        let size = u64_at(&fixed, 8);
        let payload = if self.compact { 72 } else { 64 };
        if fixed[0] != DATA || size < payload {
            return None;
        }
        Some(Data {
            flags: fixed[1],
            payload: (offset.saturating_add(payload), size - payload),
            hash: u64_at(&fixed, 16),
            next_in_bucket: u64_at(&fixed, 24),
            first_entry: u64_at(&fixed, 40),
            first_array: u64_at(&fixed, 48),
            entries: u64_at(&fixed, 56),
        })
    }

    /// Where the items of each array begin and how many are used, in the order of the chain. The
    /// very first entry is not in them but in the data object itself.
    fn arrays(&self, data: &Data) -> Vec<(u64, u64)> {
        let mut left = data.entries.saturating_sub(1);
        let mut offset = data.first_array;
        let mut arrays = Vec::new();
        while left > 0 && offset != 0 && arrays.len() < MOST_ARRAYS {
            let Some(fixed) = self.read::<24>(offset) else {
                break;
            };
            if fixed[0] != ENTRY_ARRAY {
                break;
            }
            let room = u64_at(&fixed, 8).saturating_sub(OBJECT_HEADER + 8) / self.item_bytes();
            let used = room.min(left);
            arrays.push((offset.saturating_add(OBJECT_HEADER + 8), used));
            left -= used;
            offset = u64_at(&fixed, 16);
        }
        arrays
    }

    fn item(&self, items: u64, index: u64) -> Option<u64> {
        let at = items.saturating_add(index.saturating_mul(self.item_bytes()));
        if self.compact {
            Some(u32_at(&self.read::<4>(at)?, 0).into())
        } else {
            Some(u64_at(&self.read::<8>(at)?, 0))
        }
    }

    fn item_bytes(&self) -> u64 {
        if self.compact { 4 } else { 8 }
    }

    pub(crate) fn entry(&self, offset: u64) -> Option<RawEntry> {
        const FIXED: u64 = 64;
        let fixed = self.read::<64>(offset)?;
        if fixed[0] != ENTRY {
            return None;
        }
        // With hashes beside the offsets, unless the file is compact.
        let stride = if self.compact { 4 } else { 16 };
        let size = usize::try_from(u64_at(&fixed, 8).checked_sub(FIXED)?).ok()?;
        let items = self.bytes(offset.saturating_add(FIXED), size.min(MOST_FIELDS * stride))?;
        let fields = items.chunks_exact(stride).map(|item| {
            if self.compact {
                u32_at(item, 0).into()
            } else {
                u64_at(item, 0)
            }
        });
        Some(RawEntry {
            sequence: u64_at(&fixed, 16),
            realtime: u64_at(&fixed, 24),
            fields: fields.collect(),
        })
    }

    /// `None` where the file ends before.
    pub(crate) fn bytes(&self, offset: u64, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    }

    fn read<const N: usize>(&self, offset: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}
