//! HTTP/1 messages by the letter of RFC 9112: what a request is, where its body ends, and whether an answer is one. An
//! obviously right reader, to be compared with what the router makes of the same bytes.
#![allow(dead_code, unreachable_pub, reason = "tests and fuzz targets share it")]

/// A request as the letter has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub hosts: Vec<String>,
    pub body: Vec<u8>,
    /// Whether all of the body is there, and well-formed.
    pub whole: bool,
}

/// What some bytes hold.
#[derive(Debug, Default)]
pub struct Requests {
    /// Those whose head is well-formed, in order. All but the last are whole.
    pub requests: Vec<Request>,
    /// Something follows that is no request, or not the whole head of one.
    pub rest: Option<Rest>,
    /// What its method is, if it is anything: an answer to HEAD has no body even if it refuses.
    pub rest_method: Option<String>,
}

/// What follows the last request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    Incomplete,
    Malformed,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub body: Vec<u8>,
    /// Whether all of the body is there.
    pub whole: bool,
    /// It says that the connection ends with it.
    pub closes: bool,
}

struct Reader<'b>(&'b [u8]);

struct Head {
    first: String,
    fields: Vec<(String, String)>,
}

/// Where a body ends.
enum Framing {
    Length(u64),
    Chunked,
    Close,
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

impl Reader<'_> {
    /// The next line, without its end: CRLF, or LF alone (RFC 9112 section 2.2).
    fn line(&mut self) -> Option<&[u8]> {
        let end = self.0.iter().position(|byte| *byte == b'\n')?;
        let (line, rest) = (&self.0[..end], &self.0[end + 1..]);
        self.0 = rest;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// Text that a line of a head may hold: no control characters but tabs. Bytes beyond ASCII are opaque.
    fn text(&mut self) -> Result<String, Rest> {
        let line = self.line().ok_or(Rest::Incomplete)?;
        let control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        if line.iter().any(control) {
            return Err(Rest::Malformed);
        }
        Ok(line.iter().map(|byte| char::from(*byte)).collect())
    }

    fn head(&mut self) -> Result<Head, Rest> {
        let first = self.text()?;
        let mut fields = Vec::new();
        loop {
            let line = self.text()?;
            if line.is_empty() {
                return Ok(Head { first, fields });
            }
            fields.push(field(&line).ok_or(Rest::Malformed)?);
        }
    }

    fn take(&mut self, length: u64) -> (Vec<u8>, bool) {
        let take = usize::try_from(length).unwrap_or(usize::MAX).min(self.0.len());
        let (taken, rest) = self.0.split_at(take);
        self.0 = rest;
        (taken.to_vec(), take as u64 == length)
    }

    /// RFC 9112 section 7.1; lines of it end in CRLF and in nothing else.
    fn chunked(&mut self) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            let Some(size) = self.chunk_line().and_then(|line| chunk_size(&line)) else { return (body, false) };
            if size == 0 {
                return (body, self.trailers());
            }
            let (data, all) = self.take(size);
            body.extend(data);
            if !all || self.chunk_line().is_none_or(|line| !line.is_empty()) {
                return (body, false);
            }
        }
    }

    fn trailers(&mut self) -> bool {
        while let Some(line) = self.chunk_line() {
            if line.is_empty() {
                return true;
            }
            if field(&line).is_none() {
                return false;
            }
        }
        false
    }

    fn chunk_line(&mut self) -> Option<String> {
        let end = self.0.iter().position(|byte| *byte == b'\n')?;
        let (line, rest) = (self.0[..end].strip_suffix(b"\r")?, &self.0[end + 1..]);
        self.0 = rest;
        // CR alone is no line end, and nothing else either.
        (!line.contains(&b'\r')).then(|| line.iter().map(|byte| char::from(*byte)).collect())
    }
}

/// RFC 9112 section 5.
fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let blank = [' ', '\t'];
    is_token(name).then(|| (name.to_ascii_lowercase(), value.trim_matches(blank).to_owned()))
}

/// `1*HEXDIG [ chunk-ext ]`; white space before the extension is bad, and common.
fn chunk_size(line: &str) -> Option<u64> {
    let digits = line.split(';').next()?.trim_end_matches([' ', '\t']);
    let hexadecimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal.then(|| u64::from_str_radix(digits, 16).ok())?
}

/// Whether the last coding is `chunked`, and no other. (What the others did to the content is nobody's business here.)
fn is_chunked(encoding: &str) -> bool {
    let mut codings = encoding.split(',').map(str::trim).rev();
    codings.next().is_some_and(|last| last.eq_ignore_ascii_case("chunked"))
        && codings.all(|coding| !coding.eq_ignore_ascii_case("chunked"))
}

impl Head {
    fn all<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h str> {
        self.fields.iter().filter(move |field| field.0 == name).map(|field| &*field.1)
    }

    /// RFC 9112 section 6.3, without what it lets a recipient put right: one length or one `chunked`, or neither.
    fn framing(&self) -> Option<Option<Framing>> {
        let lengths: Vec<&str> = self.all("content-length").collect();
        let encodings: Vec<&str> = self.all("transfer-encoding").collect();
        Some(match (&lengths[..], &encodings[..]) {
            ([], []) => None,
            ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(Framing::Length(length.parse().ok()?))
            }
            ([], [encoding]) if is_chunked(encoding) => Some(Framing::Chunked),
            _ => return None,
        })
    }
}

/// Reads requests to the end of the bytes, or to what is none.
pub fn requests(bytes: &[u8]) -> Requests {
    let mut reader = Reader(bytes);
    let mut read = Requests::default();
    loop {
        // Empty lines before a request line are passed over (RFC 9112 section 2.2).
        while reader.0.starts_with(b"\r\n") || reader.0.starts_with(b"\n") {
            let _ = reader.line();
        }
        if reader.0.is_empty() {
            return read;
        }
        let before = reader.0;
        match request(&mut reader) {
            Ok(request) => {
                let whole = request.whole;
                read.requests.push(request);
                if !whole {
                    return read;
                }
            }
            Err(rest) => {
                read.rest = Some(rest);
                let word = before.split(|byte| *byte == b' ').next().unwrap_or_default();
                read.rest_method = Some(String::from_utf8_lossy(word).into_owned());
                return read;
            }
        }
    }
}

fn request(reader: &mut Reader<'_>) -> Result<Request, Rest> {
    let head = reader.head()?;
    let [method, target, version] = head.first.split(' ').collect::<Vec<_>>()[..] else { return Err(Rest::Malformed) };
    if !is_token(method) || target.is_empty() || !["HTTP/1.1", "HTTP/1.0"].contains(&version) {
        return Err(Rest::Malformed);
    }
    let (body, whole) = match head.framing().ok_or(Rest::Malformed)? {
        None => (Vec::new(), true),
        Some(Framing::Length(length)) => reader.take(length),
        Some(Framing::Chunked) if version == "HTTP/1.1" => reader.chunked(),
        Some(_) => return Err(Rest::Malformed),
    };
    let hosts = head.all("host").map(str::to_owned).collect();
    Ok(Request { method: method.into(), target: target.into(), hosts, body, whole })
}

/// Reads the answers to requests of these methods, which must be all that there is.
///
/// # Errors
/// What is not an answer.
pub fn responses(bytes: &[u8], methods: &[String]) -> Result<Vec<Response>, String> {
    let mut reader = Reader(bytes);
    let mut responses = Vec::new();
    while !reader.0.is_empty() {
        let before = reader.0;
        let head = reader.head().map_err(|_| format!("no head, {} bytes before the end", before.len()))?;
        let lines = before[..before.len() - reader.0.len()].split_inclusive(|byte| *byte == b'\n');
        if !lines.into_iter().all(|line| line.ends_with(b"\r\n")) {
            return Err("a line of an answer's head ends in LF alone".into());
        }
        let status = head.first.strip_prefix("HTTP/1.1 ").or_else(|| head.first.strip_prefix("HTTP/1.0 "));
        let status = status.and_then(|rest| rest.get(..3)).and_then(|status| status.parse::<u16>().ok());
        let status = status.ok_or_else(|| format!("no status line: {}", head.first))?;
        if status == 100 {
            continue;
        }
        let answered = methods.get(responses.len()).map(String::as_str);
        let bodiless = answered == Some("HEAD") || matches!(status, 204 | 304);
        let framing = head.framing().ok_or_else(|| format!("framing in doubt: {:?}", head.fields))?;
        let closes = head.all("connection").any(|option| option.eq_ignore_ascii_case("close"));
        let (body, whole) = match framing.unwrap_or(Framing::Close) {
            _ if bodiless => (Vec::new(), true),
            Framing::Length(length) => reader.take(length),
            Framing::Chunked => reader.chunked(),
            Framing::Close => reader.take(reader.0.len() as u64),
        };
        responses.push(Response { status, body, whole, closes });
    }
    Ok(responses)
}
