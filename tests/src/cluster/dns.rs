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
    // CoreDNS repeats the question, then gives records of type A, the address last in each.
    let record = &answer[question.len()..];
    let at = record.windows(6).position(|it| it == [0, 1, 0, 1, record[6], record[7]]).context("no A record")?;
    let address: [u8; 4] = record.get(at + 10..at + 14).context("a record that is cut off")?.try_into()?;
    Ok(IpAddr::from(address))
}
