//! Host files: one host, or range of hosts, to a line, in pssh's formats or in Ansible's, under `[group]` headings.
//!
//! Must not know which other files there are.

mod ansible;
mod line;
mod range;
mod variables;

use std::path::{Path, PathBuf};

pub(super) use self::ansible::ALL;
use self::ansible::Ansible;
pub(super) use self::line::HOST_LINE;
use self::line::{Heading, Hosts, Unexpected};
use super::{GroupDefinition, InventoryError};
use crate::endpoint::Endpoint;
use crate::host::Host;

/// A parsed host file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFile {
    /// As the user named it.
    pub path: PathBuf,
    /// One for each host, in order: a line with a range makes several.
    pub lines: Vec<HostLine>,
    /// The headings, also those without hosts.
    pub groups: Vec<String>,
    /// Whether it is an inventory of Ansible: then there is a group `all`.
    pub is_ansible: bool,
    /// Groups that consist of others.
    pub definitions: Vec<GroupDefinition>,
    /// What of the file has no effect, where that may surprise.
    pub remarks: Vec<String>,
}

/// A host and the line that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLine {
    /// The host.
    pub host: Host,
    /// The heading above it.
    pub group: Option<String>,
    /// From 1.
    pub line: usize,
    /// Where it is reached, if the file says it.
    pub endpoint: Option<Endpoint>,
}

impl HostFile {
    /// `file:line` of one of its lines.
    #[must_use]
    pub fn origin(&self, line: &HostLine) -> String {
        self.place(line.line)
    }

    /// `file:line`.
    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    fn add_group(&mut self, name: &str) {
        if !self.groups.iter().any(|known| known == name) {
            self.groups.push(name.to_owned());
        }
    }
}

/// Reads and parses the host file at `path`.
///
/// # Errors
/// When it cannot be read, or [`parse`] refuses it.
pub fn read(path: &Path) -> Result<HostFile, InventoryError> {
    let bytes = std::fs::read(path).map_err(|source| InventoryError::Read { path: path.to_owned(), source })?;
    parse(&bytes, path)
}

/// Parses the content of a host file; `path` is only its name.
///
/// A line is `[user@]host[:port]`, or `host[:port] user` as older versions of pssh wrote it; a host may be a host set
/// such as `web[01-20]`. A heading `[group]` puts the hosts below it into a group. A `#` starts a comment. Lines may end
/// in CR LF, and the file may start with a byte order mark.
///
/// It may also be an inventory of Ansible in its INI format: behind a host stand variables, hosts may have ranges such as
/// `web[01:20]` and `db-[a:f]`, below `[group:children]` stand groups and below `[group:vars]` variables. Of these only
/// `ansible_host`, `ansible_port` and `ansible_user` count; hosts that Ansible would not reach by SSH, or by a template only,
/// are left out. Then
/// `all` and `ungrouped` are groups too, with their meaning there.
///
/// # Errors
/// [`InventoryError::Line`] for the first line that is none of these.
pub fn parse(bytes: &[u8], path: &Path) -> Result<HostFile, InventoryError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = Reader {
        file: HostFile { path: path.to_owned(), ..HostFile::default() },
        section: Section::Hosts(None),
        ansible: Ansible::default(),
    };
    for (index, bytes) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let line = index + 1;
        reader.add(bytes, line).map_err(|unexpected| unexpected.at(path, line))?;
    }
    reader.ansible.apply(&mut reader.file).map_err(|(unexpected, line)| unexpected.at(path, line))?;
    Ok(reader.file)
}

/// What the lines below a heading are.
enum Section {
    Hosts(Option<String>),
    Children(String),
    Variables(String),
}

/// A file that is being read.
struct Reader {
    file: HostFile,
    section: Section,
    ansible: Ansible,
}

impl Reader {
    fn add(&mut self, bytes: &[u8], line: usize) -> Result<(), Unexpected> {
        let text = line::text(bytes)?;
        if let Some(heading) = line::heading(text)? {
            self.begin(heading, line);
            return Ok(());
        }
        match &self.section {
            Section::Hosts(group) => {
                let Hosts { hosts, variables } = line::hosts(text)?;
                self.ansible.set_of_hosts(&hosts, &variables, line)?;
                let named = hosts.into_iter().map(|host| HostLine { host, group: group.clone(), line, endpoint: None });
                self.file.lines.extend(named);
            }
            Section::Children(parent) => {
                if let Some(child) = line::child(text)? {
                    self.ansible.add_child(parent, child);
                }
            }
            Section::Variables(group) => {
                if let Some((name, value)) = line::variable(text)? {
                    self.ansible.set_of_group(group, name, value, line)?;
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, heading: Heading, line: usize) {
        self.section = match heading {
            Heading::Hosts(name) => {
                self.file.add_group(&name);
                Section::Hosts(Some(name))
            }
            Heading::Children(name) => {
                self.file.add_group(&name);
                self.ansible.begin_children(&name, line);
                Section::Children(name)
            }
            Heading::Variables(name) => {
                self.ansible.begin_variables(&name, line);
                Section::Variables(name)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: impl AsRef<[u8]>) -> String {
        let file = parse(text.as_ref(), Path::new("hosts")).unwrap();
        let line = |line: &HostLine| format!("{}={}/{}", line.line, line.host, line.group.as_deref().unwrap_or(""));
        file.lines.iter().map(line).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn reads_every_form_of_a_line() {
        for (text, hosts) in [
            ("", ""),
            ("web1", "1=web1/"),
            ("me@web1:22\n", "1=me@web1:22/"),
            ("web1:22 me\n", "1=me@web1:22/"),
            ("web1\tme", "1=me@web1/"),
            ("  web1  \n\n\t\nweb2", "1=web1/ 4=web2/"),
            ("# all\nweb1 # first\n#web2\nweb3#x", "2=web1/ 4=web3/"),
            ("\u{feff}web1\r\nweb2\r\n", "1=web1/ 2=web2/"),
            ("db\n[web]\nweb1\n[ db ] # x\ndb1\n", "1=db/ 3=web1/web 5=db1/db"),
            ("web[01-02]\nweb[1, 2] me", "1=web01/ 1=web02/ 2=me@web1/ 2=me@web2/"),
            ("a,b me", "1=me@a/ 1=me@b/"),
            ("[::1]\n[::1]:22\n[fe80::1%eth0] me\n::1", "1=::1/ 2=[::1]:22/ 3=me@fe80::1%eth0/ 4=::1/"),
            ("; all\nweb[1:2].x[a:b] me", "2=me@web1.xa/ 2=me@web1.xb/ 2=me@web2.xa/ 2=me@web2.xb/"),
            ("[1-2].example.com", "1=1.example.com/ 1=2.example.com/"),
        ] {
            assert_eq!(shown(text), hosts, "{text:?}");
        }
    }

    #[test]
    fn an_inventory_of_ansible_says_where_hosts_are() {
        for (text, hosts) in [
            ("web1 ansible_host=10.0.0.1 ansible_port=2222 ansible_user=me", "web1=me@10.0.0.1:2222"),
            ("web1 ansible_ssh_host=::1 ansible_ssh_port=22 ansible_ssh_user='me'", "web1=me@[::1]:22"),
            ("web1 note=\"it's # 1\" j='{\"a\": [1, 2]}' ansible_port=1 # ansible_port=2", "web1=*:1"),
            ("web[1:2] ansible_user=me", "web1=me@* web2=me@*"),
            ("web1 ansible_host=a\n[g]\nweb1 ansible_user=u", "web1=u@a web1=u@a"),
            ("[g]\na\nb ansible_user=own\n[g:vars]\nansible_user=group\nx=[1, 2] # y", "a=group@* b=own@*"),
            ("[g]\na\n[p:children]\ng\n[g:vars]\nansible_user=g\n[p:vars]\nansible_user=p\nansible_port=1", "a=g@*:1"),
            ("[z]\na\n[p:children]\nz\n[q]\na\n[q:vars]\nansible_user=q\n[z:vars]\nansible_user=z", "a=z@* a=z@*"),
            ("[a]\nh\n[b]\nh\n[b:vars]\nansible_user=b\n[a:vars]\nansible_user=a", "h=b@* h=b@*"),
            ("a\n[g]\nb\n[all:vars]\nansible_user=all\n[g:vars]\nansible_user=g", "a=all@* b=g@*"),
            ("a\n[g]\nb\n[ungrouped:vars]\nansible_user=u", "a=u@* b="),
            ("[x:children]\ny\n[y:children]\nx\n[y]\na\n[x:vars]\nansible_user=x", "a=x@*"),
        ] {
            let file = parse(text.as_bytes(), Path::new("hosts")).unwrap();
            assert_eq!(endpoints(&file), hosts, "{text:?}");
            assert!(file.remarks.is_empty(), "{text:?}: {:?}", file.remarks);
        }
    }

    /// `name=user@address:port` of each line, where the endpoint says them.
    fn endpoints(file: &HostFile) -> String {
        let line = |line: &HostLine| {
            let Some(Endpoint { address, port, user, .. }) = line.endpoint.clone() else {
                return format!("{}=", line.host);
            };
            let address: Host = address.as_deref().map_or_else(|| "placeholder".parse(), Host::new).unwrap();
            let reached = address
                .with_user(user.map(|user| user.to_string()))
                .with_port(port)
                .to_string()
                .replace("placeholder", "*");
            format!("{}={reached}", line.host)
        };
        file.lines.iter().map(line).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn groups_of_ansible_may_consist_of_groups() {
        let text = "a\n[web]\nb:22\n[web:children]\nx\n# y\ny # z\n[x]\n[y]\n[all]\nc\nb:22\n[web:children]\nz";
        let file = parse(text.as_bytes(), Path::new("hosts")).unwrap();
        let group = |line: &HostLine| format!("{}/{}", line.host, line.group.as_deref().unwrap_or_default());
        assert_eq!(
            file.lines.iter().map(group).collect::<Vec<_>>().join(" "),
            "a/ungrouped b:22/web c/ungrouped b:22/"
        );
        assert_eq!(file.groups, ["web", "x", "y", "ungrouped"]);
        let defined =
            |group: &GroupDefinition| format!("{} {} = {}", group.origin, group.name, group.expressions.join(" "));
        assert_eq!(
            file.definitions.iter().map(defined).collect::<Vec<_>>(),
            ["hosts:4 web = \"b:22\" @hosts:x @hosts:y @hosts:z"]
        );
    }

    #[test]
    fn hosts_that_are_not_reached_by_ssh_are_left_out() {
        let text = "a ansible_connection=local\nb ansible_connection=ansible.builtin.ssh\n[box]\nbox[1:3]\nc ansible_connection=smart\n[box:vars]\nansible_connection=docker\nansible_password=x";
        let file = parse(text.as_bytes(), Path::new("hosts")).unwrap();
        assert_eq!(endpoints(&file), "b= c=");
        assert_eq!(
            file.remarks,
            [
                "hosts: box[1-3] left out: ansible_connection=docker is not SSH",
                "hosts: a left out: ansible_connection=local is not SSH",
                "hosts:8: ansible_password has no effect here: write it in ssh_config"
            ]
        );
    }

    #[test]
    fn a_template_leaves_out_the_hosts_for_which_it_counts() {
        let text = "a\nb ansible_user=me\n[g]\nc\nd ansible_host='{{ ip }}'\n[all:vars]\nansible_user={{ me }}\nnote={{ x }}\n[g:vars]\nansible_user=g";
        let file = parse(text.as_bytes(), Path::new("hosts")).unwrap();
        assert_eq!(endpoints(&file), "b=me@* c=g@*");
        assert_eq!(
            file.remarks,
            [
                "hosts: d left out: ansible_host={{ ip }} is a template, which only Ansible evaluates",
                "hosts: a left out: ansible_user={{ me }} is a template, which only Ansible evaluates"
            ]
        );
    }

    #[test]
    fn headings_are_kept_also_without_hosts() {
        let file = parse(b"[web]\n[db-1.x_y]\n[web]\n", Path::new("hosts")).unwrap();
        assert_eq!(file.groups, ["web", "db-1.x_y"]);
        assert_eq!(file.definitions, []);
    }

    #[test]
    fn a_broken_line_is_named_with_what_was_found_and_expected() {
        for (text, message) in [
            ("web1\nweb2 me you", "hosts:2: \"web2 me you\" has 3 words; expected [user@]host[:port], "),
            ("web1\n\nweb;1", "hosts:3: ';' cannot be part of a host name (in \"web;1\"); expected [user@]"),
            ("web1 a=1 b", "hosts:1: \"b\" stands among variables; expected [user@]host[:port], "),
            ("web1 =1", "\"=1\" stands among variables"),
            ("web1 a='b", "hosts:1: the variables end too early: \"a='b\"; expected a closing quote"),
            ("web1 ansible_port=ssh", "ansible_port is \"ssh\"; expected a number from 1 to 65535"),
            ("web1 ansible_host=10.0.0.1:22", "ansible_host is \"10.0.0.1:22\"; expected a name or an address"),
            ("[web]\n[web:vars]\nansible_user=a b", "hosts:3: ansible_user is \"a b\"; expected the name of"),
            ("[web:vars]\na b", "hosts:2: \"a b\" has no \"=\"; expected variable=value below"),
            (
                "[db]\n[web:vars]\na=b",
                "hosts:2: there are variables of \"web\", and no such group; expected [group] or",
            ),
            ("[web:children]\na b", "hosts:2: \"a b\" is no group; expected a group name"),
            ("me@web1 you", "\"me@web1\" already has a user"),
            ("web1:ssh", "the port \"ssh\""),
            ("web[1-", "brackets in \"web[1-\""),
            ("web[3-1]", "goes down"),
            ("web1, web2", "next to a comma"),
            ("@web", "names a group"),
            ("-oProxyCommand=x", "cannot start with \"-\""),
            ("[]", "the heading is \"[]\"; expected a group name"),
            ("[web:hosts]", "the heading is \"[web:hosts]\"; expected [group], [group:children] or [group:vars]"),
            ("[a b:vars]", "the heading is \"[a b:vars]\"; expected a group name"),
            ("[-x]", "the heading is"),
            ("[web] me", "hosts:1: "),
            ("[web", "brackets in \"[web\""),
        ] {
            let error = parse(text.as_bytes(), Path::new("hosts")).unwrap_err().to_string();
            assert!(error.contains(message), "{text:?}: {error}");
        }
        let error = parse(b"web1\nw\xffb\n", Path::new("hosts")).unwrap_err().to_string();
        assert!(error.starts_with("hosts:2: \"w\u{fffd}b\" is not UTF-8; expected"), "{error}");
    }

    #[test]
    fn who_gives_an_inventory_in_yaml_is_told_how_to_list_its_hosts() {
        for (path, text, is_told) in [
            ("a.yml", "all:\n  hosts:\n", true),
            ("a.yaml", "---\nall:\n", true),
            ("hosts", "all:\n  hosts:\n", false),
            ("a.yml", "web1 a='b", false),
        ] {
            let error = parse(text.as_bytes(), Path::new(path)).unwrap_err();
            assert_eq!(
                error.hint().is_some_and(|hint| hint.contains(&format!("-i {path} --list-hosts"))),
                is_told,
                "{text}"
            );
        }
    }

    #[test]
    fn an_unreadable_file_is_named_with_a_hint() {
        let error = read(Path::new("/nonexistent/hosts")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the host file /nonexistent/hosts");
        assert!(error.hint().unwrap().contains("check the path"));
    }

    proptest! {
        #[test]
        fn displayed_hosts_are_read_back(hosts in proptest::collection::vec(
            "([a-z]{1,3}@)?[a-z]{1,3}[0-9]?(:[1-9][0-9])?|::[1-9]|\\[::[1-9]\\]:22", 0..9))
        {
            let file = parse(hosts.join("\n").as_bytes(), Path::new("hosts")).unwrap();
            let read: Vec<String> = file.lines.iter().map(|line| line.host.to_string()).collect();
            prop_assert_eq!(read, hosts);
        }

        #[test]
        fn no_content_stops_the_reader(bytes: Vec<u8>, lines in "(\\[a:(vars|children)\\]|[]\\[@:,#= a1'\"-]{0,6}\n){0,5}") {
            let _ = parse(&bytes, Path::new("hosts"));
            let _ = parse(lines.as_bytes(), Path::new("hosts"));
        }
    }
}
