//! WBXML as ActiveSync uses it (MS-ASWBXML): written from elements, and read far enough to answer.

/// A tag: its code page and its number there.
pub type Tag = (u8, u8);

/// An element with text, or with children, or with nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// What it is.
    pub tag: Tag,
    /// Its text.
    pub text: Option<String>,
    /// What is in it.
    pub children: Vec<Element>,
}

impl Element {
    /// One without content.
    pub fn empty(tag: Tag) -> Self {
        Self { tag, text: None, children: Vec::new() }
    }

    /// One with text.
    pub fn text(tag: Tag, text: &str) -> Self {
        Self { text: Some(text.to_owned()), ..Self::empty(tag) }
    }

    /// One with children.
    pub fn with(tag: Tag, children: Vec<Self>) -> Self {
        Self { children, ..Self::empty(tag) }
    }

    /// The first child of this tag.
    pub fn child(&self, tag: Tag) -> Option<&Self> {
        self.children.iter().find(|child| child.tag == tag)
    }
}

/// Version 1.3, no public id, UTF-8, no string table.
const HEAD: [u8; 4] = [0x03, 0x01, 0x6a, 0x00];

/// Writes a document.
pub fn encode(root: &Element) -> Vec<u8> {
    let mut out = HEAD.to_vec();
    write(root, &mut 0, &mut out);
    out
}

fn write(element: &Element, page: &mut u8, out: &mut Vec<u8>) {
    let (of, number) = element.tag;
    if *page != of {
        out.extend([0x00, of]);
        *page = of;
    }
    if element.text.is_none() && element.children.is_empty() {
        out.push(number);
        return;
    }
    out.push(number | 0x40);
    if let Some(text) = &element.text {
        out.push(0x03);
        out.extend(text.bytes().filter(|byte| *byte != 0));
        out.push(0);
    }
    for child in &element.children {
        write(child, page, out);
    }
    out.push(0x01);
}

/// Reads a document with tags and inline strings; `None` for anything else.
pub fn decode(document: &[u8]) -> Option<Element> {
    let mut bytes = document.strip_prefix(&HEAD)?.iter().copied();
    let mut page = 0;
    let mut open: Vec<Element> = Vec::new();
    loop {
        let mut done = None;
        match bytes.next()? {
            0x00 => page = bytes.next()?,
            0x01 => done = Some(open.pop()?),
            0x03 => {
                let text: Vec<u8> = bytes.by_ref().take_while(|byte| *byte != 0).collect();
                open.last_mut()?.text = Some(String::from_utf8(text).ok()?);
            }
            byte if byte & 0x40 == 0 && byte >= 5 => done = Some(Element::empty((page, byte))),
            byte if byte & 0x80 == 0 => open.push(Element::empty((page, byte & 0x3f))),
            _ => return None,
        }
        if let Some(element) = done {
            match open.last_mut() {
                Some(parent) => parent.children.push(element),
                None => return bytes.next().is_none().then_some(element),
            }
        }
    }
}
