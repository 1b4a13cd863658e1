//! The program `fleet-ec2`: one request on standard input, one answer on standard output.

use std::io::{self, Read as _, Write as _};

use fleet_ec2::Machine;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut request = Vec::new();
    io::stdin().lock().read_to_end(&mut request)?;
    let answer = fleet_ec2::answer(&request, Machine::detect()).await;
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    io::stdout().lock().write_all(&text)
}
