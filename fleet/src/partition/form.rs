//! The roles as they are printed.
//!
//! Values in, text out. Must not know how hosts came to their roles.

use std::fmt::Write as _;

use fleet_core::hostset;
use fleet_core::inventory::{Partition, Role, role_variable};
use fleet_core::render::sanitized_line;

use crate::cli::PartitionForm;

/// The text of a partition in a form.
pub(super) fn write(form: PartitionForm, partition: &Partition) -> String {
    match form {
        PartitionForm::Table => table(&partition.roles),
        PartitionForm::Env => env(partition),
        PartitionForm::Json => serde_json::json!(partition).to_string() + "\n",
        PartitionForm::Hosts => partition.roles.iter().map(section).collect(),
    }
}

fn table(roles: &[Role]) -> String {
    let names = roles.iter().map(|role| role.name.len()).max().unwrap_or_default();
    let sizes = roles.iter().map(|role| role.hosts.len().to_string().len()).max().unwrap_or_default();
    let mut text = String::new();
    for role in roles {
        let hosts = sanitized_line(&hostset::fold(&hosts(role)));
        let row = format!("{:names$}  {:>sizes$}  {hosts}", role.name, role.hosts.len());
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text
}

fn env(partition: &Partition) -> String {
    let roles: Vec<&str> = partition.roles.iter().map(|role| role.name.as_str()).collect();
    let mut text = format!("FLEET_RUN={}\nFLEET_ROLES={}\n", quoted(&partition.run), quoted(&roles.join(" ")));
    for role in &partition.roles {
        let _ = writeln!(text, "{}={}", role_variable(&role.name), quoted(&role.addresses()));
    }
    text
}

/// A word of the shell that is `text`, whatever that is.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn section(role: &Role) -> String {
    let lines: String = hosts(role).into_iter().map(|host| format!("{host}\n")).collect();
    format!("[{}]\n{lines}", role.name)
}

fn hosts(role: &Role) -> Vec<&str> {
    role.hosts.iter().map(|host| host.host.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use fleet_core::inventory::RoleHost;

    use super::*;

    #[test]
    fn each_form_is_for_its_reader() {
        let host =
            |host: &str, address: &str| RoleHost { host: host.to_owned(), address: address.to_owned(), instance: None };
        let role = |name: &str, hosts| Role { name: name.to_owned(), hosts };
        let partition = Partition::new(
            "r1".to_owned(),
            vec![
                role("load-gen", vec![host("web1", "10.0.0.1"), host("me@web2:22", "it's")]),
                role("spare", Vec::new()),
            ],
        );
        for (form, expected) in [
            (PartitionForm::Table, "load-gen  2  me@web2:22,web1\nspare     0\n"),
            (
                PartitionForm::Env,
                "FLEET_RUN='r1'\nFLEET_ROLES='load-gen spare'\nFLEET_HOSTS_LOAD_GEN='10.0.0.1 it'\\''s'\nFLEET_HOSTS_SPARE=''\n",
            ),
            (
                PartitionForm::Json,
                "{\"roles\":[{\"hosts\":[{\"address\":\"10.0.0.1\",\"host\":\"web1\"},{\"address\":\"it's\",\"host\":\"me@web2:22\"}],\
                 \"name\":\"load-gen\"},{\"hosts\":[],\"name\":\"spare\"}],\"run\":\"r1\",\"v\":1}\n",
            ),
            (PartitionForm::Hosts, "[load-gen]\nweb1\nme@web2:22\n[spare]\n"),
        ] {
            assert_eq!(write(form, &partition), expected);
        }
    }
}
