//! Everything that a lookup reads, one behind another in one piece of memory.
//!
//! In a table of 100,000 routes a visit to another piece of memory costs more than all the comparing, so what belongs to one
//! hostname lies together: its name, its paths, what they ask for, and the number of the rule.

/// A place in a [`Blob`]. Four thousand million bytes are more than any cluster's routes.
pub(super) type Place = u32;

/// Bytes that are written once and then only read.
#[derive(Debug, Default)]
pub(super) struct Blob(Vec<u8>);

/// Reads on from a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'b>(&'b [u8]);

// === impl Blob ===

impl Blob {
    /// Where the next bytes will stand.
    pub(super) fn end(&self) -> Place {
        super::narrow(self.0.len())
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    /// The length, then the bytes. Hosts, paths and what conditions hold are all far shorter than 64 KiB.
    pub(super) fn text(&mut self, text: &[u8]) {
        debug_assert!(text.len() <= usize::from(u16::MAX), "a text of {} bytes", text.len());
        self.u16(text.len() as u16);
        self.0.extend(text);
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Fills in a number for which room was left.
    pub(super) fn set_u16(&mut self, at: Place, value: u16) {
        self.0[at as usize..at as usize + 2].copy_from_slice(&value.to_le_bytes());
    }

    /// Fills in a number for which room was left.
    pub(super) fn set_u32(&mut self, at: Place, value: u32) {
        self.0[at as usize..at as usize + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Fills in a number for which room was left.
    pub(super) fn set_u64(&mut self, at: Place, value: u64) {
        self.0[at as usize..at as usize + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// Gives back what growing left over.
    pub(super) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }

    #[inline]
    pub(super) fn read(&self, at: Place) -> Reader<'_> {
        Reader(self.0.get(at as usize..).unwrap_or_default())
    }
}

// === impl Reader ===

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> [u8; N] {
        // The writer wrote what is read; the end is never met.
        let Some((chunk, rest)) = self.0.split_first_chunk() else { return [0; N] };
        self.0 = rest;
        *chunk
    }

    #[inline]
    pub(super) fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.chunk())
    }

    #[inline]
    pub(super) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.chunk())
    }

    #[inline]
    pub(super) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.chunk())
    }

    #[inline]
    pub(super) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.chunk())
    }

    #[inline]
    pub(super) fn bytes(&mut self, length: usize) -> &'b [u8] {
        let Some((bytes, rest)) = self.0.split_at_checked(length) else { return &[] };
        self.0 = rest;
        bytes
    }

    #[inline]
    pub(super) fn text(&mut self) -> &'b [u8] {
        let length = self.u16();
        self.bytes(usize::from(length))
    }
}
