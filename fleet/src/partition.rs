//! `fleet partition`: roles for chosen hosts, which are groups for all tools from then on.
//!
//! | module | what it is |
//! | --- | --- |
//! | `spec` | what is typed of a role |
//! | `shares` | how many hosts each role gets; pure |
//! | `deal` | which hosts each role gets; pure |
//! | `candidate` | what is known of a host that may get a role |
//! | `form` | the roles as a table, variables, JSON or a host file |
//!
//! Contacts no host. Must not know how hosts are chosen, nor what the roles are used for.

mod candidate;
mod deal;
mod form;
mod shares;
mod spec;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use fleet_core::hostset;
use fleet_core::inventory::{Inventory, Partition, Role, RoleHost, RoleInstance};
use fleet_core::record::RunId;
use fleet_core::render::sanitized_line;
use fleet_core::select::SelectedHost;
use fleet_core::settings::Environment;
use fleet_tool::cli::{Addressed, Failure};

use self::candidate::Candidate;
pub(crate) use self::spec::RoleSpec;
use crate::cli::PartitionArgs;

const PROGRAM: &str = "fleet";

/// Runs `fleet partition` and tells of its failure.
pub(crate) fn run(args: PartitionArgs, stdout: &mut dyn Write, stderr: &mut dyn Write) -> ExitCode {
    let failure = match act(args, stderr) {
        Ok(text) => match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Err(error) => Failure::ours(&error),
        },
        Err(failure) => failure,
    };
    failure.print(PROGRAM, stderr);
    ExitCode::from(failure.status().code())
}

/// What is kept of the last partition, and where; `None` when nothing is.
pub(crate) fn last(environment: &Environment) -> Result<Option<(PathBuf, Partition)>, Failure> {
    let Some(path) = environment.roles_file() else { return Ok(None) };
    let partition = Partition::read(&path);
    let partition =
        partition.map_err(|error| Failure::usage(&error).hint("fleet partition --clear removes the file"))?;
    Ok(partition.map(|partition| (path, partition)))
}

/// Does what is asked, and returns what goes to standard output.
fn act(args: PartitionArgs, stderr: &mut dyn Write) -> Result<String, Failure> {
    let environment: Environment = std::env::vars_os().collect();
    let no_folder = || Failure::usage_text("there is no folder to keep roles in: expected HOME or XDG_STATE_HOME");
    let path = environment.roles_file().ok_or_else(no_folder)?;
    if args.clear {
        Partition::clear(&path).map_err(|error| Failure::ours(&error))?;
        return Ok(String::new());
    }
    if args.show {
        let nothing =
            || Failure::usage_text("there is no partition").hint("fleet partition -g GROUP ROLE=NUMBER makes one");
        return Ok(form::write(args.format, &last(&environment)?.ok_or_else(nothing)?.1));
    }
    spec::check(&args.roles).map_err(|error| Failure::usage(&error))?;
    let Addressed { selected, addresses, inventory } = args.choose.choose_with_addresses(PROGRAM)?;
    let mut hosts: Vec<(Candidate, RoleHost)> = selected
        .hosts
        .iter()
        .zip(addresses)
        .map(|(selected, address)| (Candidate::of(selected, &inventory), role_host(selected, address)))
        .collect();
    hosts.sort_by(|(one, _), (other, _)| one.cmp(other));
    let (candidates, hosts): (Vec<Candidate>, Vec<RoleHost>) = hosts.into_iter().unzip();
    let dealt = deal::deal(&candidates, &args.roles, args.by.as_deref()).map_err(|error| Failure::usage(&error))?;
    let role = |(spec, places): (&RoleSpec, &Vec<usize>)| Role {
        name: spec.name.clone(),
        hosts: places.iter().map(|&place| hosts[place].clone()).collect(),
    };
    let roles = args.roles.iter().zip(&dealt).map(role).collect();
    let partition = Partition::new(RunId::of(SystemTime::now()).to_string(), roles);
    let mut is_dealt = vec![false; hosts.len()];
    dealt.iter().flatten().for_each(|&place| is_dealt[place] = true);
    let left: Vec<String> =
        hosts.iter().zip(is_dealt).filter(|(_, is_dealt)| !is_dealt).map(|(host, _)| host.host.clone()).collect();
    let namesakes = partition.roles.iter().filter_map(|role| namesake(&inventory, &role.name));
    for remark in selected.remarks().into_iter().chain(namesakes) {
        let _ = writeln!(stderr, "{PROGRAM}: {}", sanitized_line(&remark));
    }
    if !left.is_empty() {
        let _ = writeln!(stderr, "{PROGRAM}: without a role: {}", sanitized_line(&hostset::fold(&left)));
    }
    if !args.dry_run {
        partition.write(&path).map_err(|error| Failure::ours(&error))?;
    }
    Ok(form::write(args.format, &partition))
}

/// What is said where a group has the name of a role already.
fn namesake(inventory: &Inventory, role: &str) -> Option<String> {
    let sources = inventory.namesakes(role);
    let others: Vec<String> = sources.iter().map(|source| format!("@{source}:{role}")).collect();
    (!others.is_empty()).then(|| {
        let (sources, others) = (sources.join(" and "), others.join(" or "));
        format!("{role} is a group of {sources}, too: from now on write @partition:{role} or {others}")
    })
}

fn role_host(selected: &SelectedHost, address: String) -> RoleHost {
    let instance = selected.instance.as_ref().map(|instance| RoleInstance {
        provider: instance.provider.as_ref().to_owned(),
        id: instance.id.as_ref().to_owned(),
    });
    RoleHost { host: selected.host.to_string(), address, instance }
}
