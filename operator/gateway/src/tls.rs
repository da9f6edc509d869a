//! The certificate that clients see, from a mounted Secret; a new one is taken over while connections go on.
//!
//! # Guarantees
//! A certificate that cannot be used changes nothing: the last good one stays. What is wrong is said with the name of the file, never with
//! what is in it.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

/// Names of a Secret of type `kubernetes.io/tls`.
const CHAIN: &str = "tls.crt";
const KEY: &str = "tls.key";
/// Longest handshake; one takes three round trips.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The certificate of a folder.
#[derive(Debug)]
pub struct Certificate {
    folder: PathBuf,
    current: RwLock<Option<Arc<CertifiedKey>>>,
    seen: RwLock<Option<[Vec<u8>; 2]>>,
}

impl Certificate {
    /// Of this folder; not read yet.
    pub fn within(folder: PathBuf) -> Arc<Self> {
        Arc::new(Self { folder, current: RwLock::default(), seen: RwLock::default() })
    }

    /// Takes over what is in the folder now; true when that is another certificate than before.
    ///
    /// # Errors
    /// Which file cannot be used, and why; each defect once.
    pub fn look(&self) -> Result<bool, String> {
        // a mounted Secret changes by this link, so that both files are of one time
        let folder = self.folder.join("..data").canonicalize().unwrap_or_else(|_| self.folder.clone());
        let read = |file| {
            let why = |error| format!("{}: {error}", self.folder.join(file).display());
            std::fs::read(folder.join(file)).map_err(why)
        };
        let files = [read(CHAIN)?, read(KEY)?];
        if self.seen.read().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(&files) {
            return Ok(false);
        }
        let [chain, key] = &files;
        let certified = self.certified(chain, key);
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = Some(files);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(certified?));
        Ok(true)
    }

    fn certified(&self, chain: &[u8], key: &[u8]) -> Result<CertifiedKey, String> {
        let about = |file, why: &dyn Display| format!("{}: {why}", self.folder.join(file).display());
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| about(CHAIN, &"it is not in PEM format"))?;
        if chain.is_empty() {
            return Err(about(CHAIN, &"there is no certificate in it"));
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| about(KEY, &"there is no private key in PEM format in it"))?;
        CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => about(KEY, &"it is the key of another certificate"),
            rustls::Error::InvalidCertificate(why) => about(CHAIN, &format!("{why:?}")),
            _ => about(KEY, &"it cannot be used as a private key"),
        })
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Shakes hands with clients.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl Tls {
    /// With this certificate, as it is at the time.
    ///
    /// # Errors
    /// When the ciphers do not fit the versions of TLS, which would be a defect.
    pub fn with(certificate: Arc<Certificate>) -> Result<Self, rustls::Error> {
        let builder =
            ServerConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(certificate);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// When the client does something else, or is too slow ([`io::ErrorKind::TimedOut`]).
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        timeout(HANDSHAKE, self.0.accept(stream)).await.map_err(|_| io::ErrorKind::TimedOut)?
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const ONE: [&str; 2] = [
        include_str!("../tests/behaviour/certificates/one.crt"),
        include_str!("../tests/behaviour/certificates/one.key"),
    ];
    const OTHER: [&str; 2] = [
        include_str!("../tests/behaviour/certificates/other.crt"),
        include_str!("../tests/behaviour/certificates/other.key"),
    ];

    fn write(folder: &Path, [chain, key]: [&str; 2]) {
        std::fs::write(folder.join(CHAIN), chain).unwrap();
        std::fs::write(folder.join(KEY), key).unwrap();
    }

    fn shown(certificate: &Certificate) -> Option<Vec<u8>> {
        certificate.current.read().unwrap().as_ref().map(|key| key.cert[0].to_vec())
    }

    #[test]
    fn a_new_certificate_is_taken_over_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let certificate = Certificate::within(folder.path().to_owned());
        assert!(certificate.look().unwrap_err().contains("tls.crt: No such file"));
        write(folder.path(), ONE);
        assert_eq!((certificate.look(), certificate.look()), (Ok(true), Ok(false)));
        let first = shown(&certificate);
        for (broken, defect) in [
            ([OTHER[0], ONE[1]], "tls.key: it is the key of another certificate"),
            (["", ONE[1]], "tls.crt: there is no certificate in it"),
            ([ONE[0], "no key"], "tls.key: there is no private key"),
            ([ONE[0], ONE[0]], "tls.key: there is no private key"),
            (["-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----", ONE[1]], "tls.crt: it is not in PEM format"),
            (["-----BEGIN CERTIFICATE-----\nMTIz\n-----END CERTIFICATE-----", ONE[1]], "tls.crt: BadEncoding"),
        ] {
            write(folder.path(), broken);
            let error = certificate.look().unwrap_err();
            assert!(error.contains(defect), "{error}");
            assert!(!error.contains(ONE[1].lines().nth(1).unwrap()), "the key is not shown: {error}");
            assert_eq!(shown(&certificate), first);
        }
        write(folder.path(), OTHER);
        assert_eq!(certificate.look(), Ok(true));
        assert!(shown(&certificate) != first);
    }
}
