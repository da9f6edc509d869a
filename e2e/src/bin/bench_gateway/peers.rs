//! How each of them is configured and started.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use deepseek_e2e::command::output;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use crate::Options;
use crate::process::{PROXY, Process, command};
use crate::subject::Subject;

/// Engines; the conversations use all of them, everything else the first two.
pub const ENGINES: [u16; 4] = [18_601, 18_602, 18_603, 18_604];
/// Where a proxy listens, in plain.
const PLAIN: u16 = 18_611;
/// For HTTP/2, where it is another port.
const H2: u16 = 18_612;
/// For TLS, where it is another port.
const TLS: u16 = 18_613;
/// The gateway's own.
const ADMIN: u16 = 18_614;
const READY: Duration = Duration::from_secs(60);
/// Until health checks have seen all engines.
const SETTLE: Duration = Duration::from_millis(1500);

/// What is spoken with a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1.1.
    Plain,
    /// HTTP/2 with prior knowledge.
    H2,
    /// HTTP/1.1 over TLS.
    Tls,
}

/// Starts proxies.
pub struct Peers {
    folder: PathBuf,
    operator: PathBuf,
    litellm: Option<PathBuf>,
    /// Whether the gateway speaks TLS.
    pub gateway_tls: bool,
    /// Where they write what they have to say.
    pub log: PathBuf,
}

/// An address of this machine.
pub fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

impl Peers {
    /// Writes the configurations into a folder.
    ///
    /// # Errors
    /// When something is missing.
    pub async fn new(options: &Options, folder: PathBuf) -> Result<Self> {
        let operator = std::path::absolute(&options.operator)?;
        ensure!(operator.exists(), "there is no {}; `make operator` builds it", operator.display());
        let help = output(&operator, &["gateway", "--help"], &[]).await?;
        let log = std::path::absolute(options.written.file("gateway-processes.log")?)?;
        std::fs::write(&log, "")?;
        let litellm = options.litellm.clone().filter(|path| path.exists());
        let peers = Self { folder, operator, litellm, gateway_tls: help.contains("--tls"), log };
        peers.certificate().await?;
        peers.write("haproxy.cfg", &haproxy(&peers.folder, ""))?;
        peers.write("haproxy-abort.cfg", &haproxy(&peers.folder, "option abortonclose"))?;
        peers.write("nginx.conf", &nginx(&peers.folder))?;
        peers.write("litellm.yaml", &litellm_config())?;
        for affinity in [true, false] {
            let config = json!({
                "servedNames": ["chat"], "engine": "Vllm", "maxConcurrentSequences": 4096, "affinity": affinity,
            });
            peers.write(&format!("gateway-{affinity}.json"), &config.to_string())?;
        }
        Ok(peers)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        std::fs::write(self.folder.join(name), text).with_context(|| name.to_owned())
    }

    async fn certificate(&self) -> Result<()> {
        let at = |name: &str| self.folder.join(name).to_string_lossy().into_owned();
        let (certificate, key) = (at("tls.crt"), at("tls.key"));
        let make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=bench.local \
                    -addext subjectAltName=DNS:bench.local -addext basicConstraints=critical,CA:FALSE -keyout";
        let mut args: Vec<_> = make.split_whitespace().collect();
        args.extend([key.as_str(), "-out", certificate.as_str()]);
        output("openssl", &args, &[]).await?;
        let both = std::fs::read_to_string(&certificate)? + &std::fs::read_to_string(&key)?;
        self.write("both.pem", &both)
    }

    /// The certificate of all of them.
    pub fn trusted(&self) -> PathBuf {
        self.folder.join("tls.crt")
    }

    /// Whether it is here, and speaks this.
    pub fn has(&self, subject: Subject, spoken: Spoken) -> bool {
        match subject {
            Subject::Litellm => self.litellm.is_some() && spoken == Spoken::Plain,
            Subject::Direct => spoken == Spoken::Plain,
            Subject::Gateway | Subject::ByLoad => spoken != Spoken::Tls || self.gateway_tls,
            _ => true,
        }
    }

    /// Where it listens.
    pub fn address(subject: Subject, spoken: Spoken) -> SocketAddr {
        local(match (subject, spoken) {
            (Subject::Direct, _) => ENGINES[0],
            // one port for everything
            (Subject::Gateway | Subject::ByLoad, _) | (_, Spoken::Plain) => PLAIN,
            (_, Spoken::H2) => H2,
            (_, Spoken::Tls) => TLS,
        })
    }

    /// Starts it in front of so many engines, and waits until it has answered.
    ///
    /// # Errors
    /// When it does not.
    pub async fn start(&self, subject: Subject, spoken: Spoken, engines: usize) -> Result<Option<Process>> {
        let Some(command) = self.command(subject, spoken, engines) else { return Ok(None) };
        let mut process = Process::start(command, &self.log)?;
        let answered = self.ready(subject, spoken, &mut process).await;
        if let Err(error) = answered {
            process.stop().await;
            return Err(error.context(format!("{} does not answer; see {}", subject.name(), self.log.display())));
        }
        sleep(SETTLE).await;
        Ok(Some(process))
    }

    fn command(&self, subject: Subject, spoken: Spoken, engines: usize) -> Option<Command> {
        let at = |name: &str| self.folder.join(name);
        Some(match subject {
            Subject::Direct => return None,
            Subject::Gateway => self.gateway(&at("gateway-true.json"), spoken, engines),
            Subject::ByLoad => self.gateway(&at("gateway-false.json"), spoken, engines),
            Subject::Haproxy => with(command(PROXY, "haproxy"), &["-db", "-f"], &at("haproxy.cfg")),
            Subject::HaproxyAbort => with(command(PROXY, "haproxy"), &["-db", "-f"], &at("haproxy-abort.cfg")),
            Subject::Nginx => with(command(PROXY, "nginx"), &["-c"], &at("nginx.conf")),
            Subject::Litellm => {
                let mut command = with(command(PROXY, self.litellm.as_ref()?), &["--config"], &at("litellm.yaml"));
                command.args(["--host", "127.0.0.1", "--port", &PLAIN.to_string(), "--telemetry", "False"]);
                command.env("LITELLM_LOCAL_MODEL_COST_MAP", "True").env("LITELLM_LOG", "ERROR");
                // without keys of its own
                command.env("LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY", "true");
                command
            }
        })
    }

    fn gateway(&self, config: &Path, spoken: Spoken, engines: usize) -> Command {
        let mut command = with(command(PROXY, &self.operator), &["gateway", "--config"], config);
        command.args(["--listen", &local(PLAIN).to_string(), "--admin", &local(ADMIN).to_string(), "--workers", "1"]);
        for (at, port) in ENGINES.iter().take(engines).enumerate() {
            command.args(["--replica", &format!("chat-{at}={}", local(*port))]);
        }
        if spoken == Spoken::Tls {
            command.arg("--tls").arg(&self.folder);
        }
        // as the chart does
        command.env("MALLOC_ARENA_MAX", "1");
        command
    }

    async fn ready(&self, subject: Subject, spoken: Spoken, process: &mut Process) -> Result<()> {
        let until = Instant::now() + READY;
        // who speaks TLS on its only port shows by listening that it is there
        let listens = spoken == Spoken::Tls && matches!(subject, Subject::Gateway | Subject::ByLoad);
        while Instant::now() < until {
            ensure!(!process.has_ended(), "it ended");
            let asked = ask(Self::address(subject, Spoken::Plain), "POST /v1/chat/completions", PING, !listens);
            if timeout(Duration::from_secs(2), asked).await.is_ok_and(|answer| answer.is_ok()) {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        bail!("not within {} s", READY.as_secs())
    }
}

const PING: &str = r#"{"model":"chat","messages":[{"role":"user","content":"ping"}],"max_tokens":1}"#;

fn with(mut command: Command, args: &[&str], file: &Path) -> Command {
    command.args(args).arg(file);
    command
}

/// Sends a request and returns the body of its answer, which must be a good one.
///
/// # Errors
/// When there is none.
pub async fn ask(to: SocketAddr, what: &str, body: &str, answers: bool) -> Result<String> {
    let mut socket = TcpStream::connect(to).await?;
    if !answers {
        return Ok(String::new());
    }
    let head = format!(
        "{what} HTTP/1.1\r\nhost: {to}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    socket.write_all(format!("{head}authorization: Bearer sk-bench\r\n\r\n{body}").as_bytes()).await?;
    let mut answer = vec![0; 4096];
    let read = socket.read(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer[..read]).into_owned();
    ensure!(text.starts_with("HTTP/1.1 200"), "answered: {}", text.lines().next().unwrap_or_default());
    Ok(text.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned())
}

/// As Debian's own, with one thread for the one core, checks of health, and no token kept back to be sent with the next.
fn haproxy(folder: &Path, more: &str) -> String {
    let [first, second, ..] = ENGINES;
    let pem = folder.join("both.pem");
    format!(
        "global\n  maxconn 9000\n  nbthread 1\n\
         defaults\n  mode http\n  timeout connect 1s\n  timeout client 600s\n  timeout server 600s\n  option http-no-delay\n  {more}\n\
         frontend all\n  bind 127.0.0.1:{PLAIN}\n  bind 127.0.0.1:{H2} proto h2\n  bind 127.0.0.1:{TLS} ssl crt {}\n  \
         default_backend engines\n\
         backend engines\n  balance leastconn\n  option httpchk GET /health\n  default-server check inter 1s\n  \
         server chat-0 127.0.0.1:{first}\n  server chat-1 127.0.0.1:{second}\n",
        pem.display()
    )
}

/// As its manual proposes for streams: connections to engines are kept, nothing is kept back, nothing goes to disk.
fn nginx(folder: &Path) -> String {
    let [first, second, ..] = ENGINES;
    let folder = folder.display();
    format!(
        "user root;\nworker_processes 1;\nworker_rlimit_nofile 16384;\npid {folder}/nginx.pid;\nerror_log stderr;\ndaemon off;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 1000000000;\n  client_max_body_size 32m;\n  client_body_buffer_size 2m;\n  \
         client_body_temp_path {folder}/nginx-body;\n  proxy_temp_path {folder}/nginx-proxy;\n  \
         fastcgi_temp_path {folder}/nginx-fastcgi;\n  uwsgi_temp_path {folder}/nginx-uwsgi;\n  scgi_temp_path {folder}/nginx-scgi;\n  \
         ssl_certificate {folder}/tls.crt;\n  ssl_certificate_key {folder}/tls.key;\n  \
         upstream engines {{ least_conn; server 127.0.0.1:{first}; server 127.0.0.1:{second}; keepalive 256; \
         keepalive_requests 1000000000; }}\n  \
         server {{\n    listen 127.0.0.1:{PLAIN};\n    listen 127.0.0.1:{H2} http2;\n    listen 127.0.0.1:{TLS} ssl;\n    \
         location / {{ proxy_pass http://engines; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
         proxy_buffering off; proxy_read_timeout 600s; }}\n  }}\n}}\n"
    )
}

fn litellm_config() -> String {
    let model = |port: u16| {
        json!({"model_name": "chat", "litellm_params": {
            "model": "openai/chat", "api_base": format!("http://127.0.0.1:{port}/v1"), "api_key": "sk-bench"}})
    };
    // JSON is YAML too
    json!({"model_list": [model(ENGINES[0]), model(ENGINES[1])], "general_settings": {}}).to_string()
}
