//! The folder of a sandbox, its lock, and many sandboxes or hosts at a time.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fleet_sandbox::{FolderState, Sandbox, SandboxError, inspect};

use crate::client::{log_in, sandbox};

#[tokio::test]
async fn the_folder_is_private_and_used_by_one_sandbox_at_a_time() {
    let (dir, sandbox) = sandbox("web=2").await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.path()), 0o700);
    assert_eq!(mode(&sandbox.user_key_path()), 0o600);
    let second = Sandbox::builder(dir.path()).hosts(1).start().await.unwrap_err();
    assert!(matches!(second, SandboxError::Folder(fleet_sandbox::FolderError::InUse(_))), "{second}");
    let FolderState::Running(record) = inspect(dir.path()).unwrap() else { panic!("not running") };
    assert_eq!(record.pid, std::process::id());
    assert_eq!(record.hosts.iter().map(|host| &host.name[..]).collect::<Vec<_>>(), ["web01", "web02"]);
    sandbox.stop().await;
    assert_eq!(inspect(dir.path()).unwrap(), FolderState::Stale);
    fleet_sandbox::clean(dir.path()).unwrap();
    assert_eq!(inspect(dir.path()).unwrap(), FolderState::Absent);
    assert!(!dir.path().exists());
}

#[tokio::test]
async fn a_folder_with_other_files_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.tex"), "").unwrap();
    let error = Sandbox::builder(dir.path()).hosts(1).start().await.unwrap_err();
    assert!(error.to_string().ends_with("is neither empty nor the folder of a sandbox"), "{error}");
    fleet_sandbox::clean(dir.path()).unwrap();
    assert!(dir.path().join("thesis.tex").exists());
}

#[tokio::test]
async fn five_hundred_hosts_start_in_one_process_and_two_sandboxes_coexist() {
    let (_dir, other) = sandbox("web=2").await;
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::builder(dir.path()).hosts(500).start().await.unwrap();
    let hosts = sandbox.hosts();
    let addresses: std::collections::BTreeSet<_> =
        hosts.iter().chain(&other.hosts()).map(|host| host.address).collect();
    assert_eq!(addresses.len(), 502);
    assert!(addresses.iter().all(|address| address.ip().is_loopback()));
    for name in ["host001", "host250", "host500"] {
        assert_eq!(log_in(&sandbox, name).await.run("echo hi").await.text(), "hi\n");
    }
    sandbox.stop().await;
    other.stop().await;
}
