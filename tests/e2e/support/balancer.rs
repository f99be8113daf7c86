//! What a Service does: new connections go to replicas that are ready, open ones stay where they are.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::http;

struct Replica {
    listen: SocketAddr,
    admin: SocketAddr,
    ready: AtomicBool,
}

struct Shared {
    replicas: Vec<Replica>,
    connections: AtomicUsize,
    ended: AtomicBool,
}

/// A TCP balancer on loopback.
pub struct Balancer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Balancer {
    /// In front of these addresses, each with its admin port.
    pub fn start(replicas: &[(SocketAddr, SocketAddr)]) -> Self {
        let replica = |&(listen, admin)| Replica { listen, admin, ready: AtomicBool::new(false) };
        let shared = Arc::new(Shared {
            replicas: replicas.iter().map(replica).collect(),
            connections: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let probes = Arc::clone(&shared);
        thread::spawn(move || probes.probe());
        let accepts = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepts.ended.load(Ordering::Relaxed) {
                    return;
                }
                // A connection that reaches nobody is closed, as one to a Service without endpoints is refused.
                let _ = accepts.forward(stream);
            }
        });
        Self { address, shared }
    }

    /// How many replicas are ready.
    pub fn ready(&self) -> usize {
        self.shared.replicas.iter().filter(|replica| replica.ready.load(Ordering::Relaxed)).count()
    }

    /// How many connections have been forwarded.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    /// Readiness as the kubelet asks for it, only more often.
    fn probe(&self) {
        while !self.ended.load(Ordering::Relaxed) {
            for replica in &self.replicas {
                let ready = matches!(http::get(replica.admin, "/readyz"), Ok((200, _)));
                replica.ready.store(ready, Ordering::Relaxed);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn forward(&self, client: TcpStream) -> io::Result<()> {
        let n = self.connections.fetch_add(1, Ordering::Relaxed);
        let ready: Vec<&Replica> = self.replicas.iter().filter(|r| r.ready.load(Ordering::Relaxed)).collect();
        let Some(replica) = ready.get(n % ready.len().max(1)) else { return Ok(()) };
        let server = TcpStream::connect(replica.listen)?;
        let (mut from_client, mut to_client) = (client.try_clone()?, client);
        let (mut from_server, mut to_server) = (server.try_clone()?, server);
        thread::spawn(move || {
            let _ = io::copy(&mut from_client, &mut to_server);
            let _ = to_server.shutdown(Shutdown::Write);
        });
        thread::spawn(move || {
            let _ = io::copy(&mut from_server, &mut to_client);
            let _ = to_client.shutdown(Shutdown::Both);
        });
        Ok(())
    }
}
