//! A hub that serves one model on loopback: the listing, files from any byte on, and what can go wrong on purpose.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use sha1::Digest as _;

/// A file of the model.
#[derive(Clone)]
pub struct Served {
    pub name: String,
    pub bytes: Vec<u8>,
    /// Every connection breaks off after so many bytes of it.
    pub cut_after: Option<usize>,
    /// Other bytes are sent than the listing says.
    pub spoiled: bool,
}

impl Served {
    pub fn new(name: &str, bytes: Vec<u8>) -> Self {
        Self {
            name: name.to_owned(),
            bytes,
            cut_after: None,
            spoiled: false,
        }
    }

    /// As the hub lists it: weights by SHA-256, the rest as git objects.
    fn listed(&self) -> serde_json::Value {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let mut git = sha1::Sha1::new_with_prefix(format!("blob {}\0", self.bytes.len()));
        git.update(&self.bytes);
        let mut file = serde_json::json!({
            "rfilename": self.name, "size": self.bytes.len(), "blobId": hex(&git.finalize())
        });
        if self.name.ends_with(".safetensors") {
            let sha256 = hex(&sha2::Sha256::digest(&self.bytes));
            file["lfs"] =
                serde_json::json!({"sha256": sha256, "size": self.bytes.len(), "pointerSize": 134});
        }
        file
    }
}

#[derive(Default)]
struct Seen {
    /// Request line and headers of every request, a text each.
    requests: Vec<String>,
    sent: Vec<(String, usize)>,
    token: Option<String>,
}

pub struct LoopbackHub {
    files: Vec<Served>,
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

struct Server {
    id: String,
    commit: String,
    files: Vec<Served>,
    seen: Arc<Mutex<Seen>>,
}

impl LoopbackHub {
    pub fn start(id: &str, files: Vec<Served>) -> Self {
        Self::start_at(
            id,
            files,
            "0123456789abcdef0123456789abcdef01234567".to_owned(),
        )
    }

    pub fn start_at(id: &str, files: Vec<Served>, commit: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let server = Server {
            id: id.to_owned(),
            commit,
            files: files.clone(),
            seen: seen.clone(),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that goes away is no matter here.
                let _ = server.answer(stream.unwrap());
            }
        });
        Self { files, port, seen }
    }

    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn ask_for_token(&self, token: &str) {
        self.seen.lock().unwrap().token = Some(format!("authorization: bearer {token}"));
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let file = self.files.iter().find(|file| file.name == name).unwrap();
        file.bytes.clone()
    }

    pub fn sizes(&self, wanted: impl Fn(&str) -> bool) -> u64 {
        let wanted = self.files.iter().filter(|file| wanted(&file.name));
        wanted.map(|file| file.bytes.len() as u64).sum()
    }

    /// Requests with this text in their line or headers.
    pub fn n_requests(&self, text: &str) -> usize {
        let text = text.to_lowercase();
        let seen = self.seen.lock().unwrap();
        seen.requests.iter().filter(|r| r.contains(&text)).count()
    }

    /// Bytes of a file that were sent in all.
    pub fn n_sent(&self, name: &str) -> usize {
        let seen = self.seen.lock().unwrap();
        let of = seen.sent.iter().filter(|(found, _)| found == name);
        of.map(|(_, n)| n).sum()
    }
}

impl Server {
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut request = String::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            request.push_str(&line);
        }
        let path = request
            .split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        let request = request.to_lowercase();
        let token = {
            let mut seen = self.seen.lock().unwrap();
            seen.requests.push(request.clone());
            seen.token.clone()
        };
        if token.is_some_and(|token| !request.contains(&token)) {
            return reply(&mut stream, "401 Unauthorized", "", b"{}");
        }
        if path.starts_with(&format!("/api/models/{}/", self.id)) {
            let siblings: Vec<_> = self.files.iter().map(Served::listed).collect();
            let listing =
                serde_json::json!({"id": self.id, "sha": self.commit, "siblings": siblings});
            return reply(&mut stream, "200 OK", "", listing.to_string().as_bytes());
        }
        let prefix = format!("/{}/resolve/{}/", self.id, self.commit);
        let name = path.strip_prefix(&prefix).unwrap_or_default();
        match self.files.iter().find(|file| file.name == name) {
            Some(file) => self.send(&mut stream, file, &request),
            None => reply(&mut stream, "404 Not Found", "", b"not here"),
        }
    }

    fn send(&self, stream: &mut TcpStream, file: &Served, request: &str) -> std::io::Result<()> {
        let range = request.split("range: bytes=").nth(1);
        let from = range.and_then(|r| r.split('-').next()?.parse::<usize>().ok());
        let mut bytes = file.bytes.clone();
        if file.spoiled {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        }
        let (n, from_byte) = (bytes.len(), from.unwrap_or(0));
        let rest = &bytes[from_byte..];
        let sent = &rest[..rest.len().min(file.cut_after.unwrap_or(usize::MAX))];
        self.seen
            .lock()
            .unwrap()
            .sent
            .push((file.name.clone(), sent.len()));
        let status = if from.is_some() {
            "206 Partial Content"
        } else {
            "200 OK"
        };
        let range = format!("Content-Range: bytes {from_byte}-{}/{n}\r\n", n - 1);
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{}Connection: close\r\n\r\n",
            rest.len(),
            if from.is_some() { &range } else { "" }
        )?;
        stream.write_all(sent)
    }
}

fn reply(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}Connection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)
}
