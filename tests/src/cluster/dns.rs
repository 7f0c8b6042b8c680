//! One question to the cluster's DNS server, as a pod's resolver asks it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use tokio::net::UdpSocket;

/// The first A record of a name.
///
/// # Errors
/// If the server does not answer in five seconds, or with anything else.
pub async fn resolve(server: SocketAddr, name: &str) -> Result<IpAddr> {
    let mut question = vec![0x50, 0x53, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len())?);
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(server).await?;
    socket.send(&question).await?;
    let mut answer = [0; 512];
    let length = tokio::time::timeout(Duration::from_secs(5), socket.recv(&mut answer))
        .await
        .with_context(|| format!("{server} does not answer for {name}"))??;
    let answer = &answer[..length];
    ensure!(answer.len() > question.len() && answer[3] & 15 == 0 && answer[7] > 0, "no address for {name}: {answer:?}");
    // The question is repeated; then comes the first record: its name, 8 bytes of type, class and time, and the address.
    let mut at = question.len();
    let label = |at: usize| answer.get(at).copied().context("a name that is cut off");
    // A name ends with an empty label, or with two bytes that point to its rest.
    while !matches!(label(at)?, 0 | 0xc0..) {
        at += usize::from(label(at)?) + 1;
    }
    at += if label(at)? == 0 { 1 } else { 2 };
    let record = answer.get(at..at + 14).context("a record that is cut off")?;
    ensure!(record[..4] == [0, 1, 0, 1] && record[8..10] == [0, 4], "no A record but {record:?}");
    let address: [u8; 4] = record[10..].try_into()?;
    Ok(IpAddr::from(address))
}
