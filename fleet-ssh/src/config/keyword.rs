//! The keywords of ssh_config(5): what each is for us.
//!
//! Must not know where keywords are read, nor what their values look like.

use super::value::Kind;

/// A setting that has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    HostName,
    User,
    Port,
    AddressFamily,
    BindAddress,
    ProxyJump,
    ProxyCommand,
    ConnectTimeout,
    ConnectionAttempts,
    TcpKeepAlive,
    ServerAliveInterval,
    ServerAliveCountMax,
    Compression,
    Ciphers,
    Macs,
    KexAlgorithms,
    HostKeyAlgorithms,
    PubkeyAcceptedAlgorithms,
    HostKeyAlias,
    StrictHostKeyChecking,
    HashKnownHosts,
    UserKnownHostsFile,
    GlobalKnownHostsFile,
    RevokedHostKeys,
    IdentityFile,
    CertificateFile,
    IdentitiesOnly,
    IdentityAgent,
    ForwardAgent,
    PreferredAuthentications,
    PubkeyAuthentication,
    PasswordAuthentication,
    KbdInteractiveAuthentication,
    BatchMode,
    SendEnv,
    SetEnv,
    IgnoreUnknown,
    Tag,
    /// The last one: [`Setting::COUNT`] follows from it.
    RefuseConnection,
}

impl Setting {
    /// How many there are.
    pub(super) const COUNT: usize = Self::RefuseConnection as usize + 1;
}

/// What a keyword does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Starts a block.
    Host,
    /// Starts a block.
    Match,
    /// Stands for the contents of other files.
    Include,
    /// Gives a setting a value of a kind.
    Set(Setting, Kind),
    /// Is known to OpenSSH and does nothing here.
    Unsupported(Unsupported),
}

/// A keyword without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unsupported {
    /// The keyword in lower case.
    pub(super) keyword: &'static str,
    /// Why it has no effect, as the end of a sentence.
    pub(super) reason: &'static str,
    /// The values, between commas, that ask for just what happens anyway: no word is lost on them.
    pub(super) nothing_lost: &'static str,
}

/// Finds a keyword, whose case does not count.
pub(super) fn lookup(keyword: &str) -> Option<Role> {
    let keyword = keyword.to_ascii_lowercase();
    let supported = SUPPORTED.iter().find(|(name, _)| *name == keyword).map(|&(_, role)| role);
    supported.or_else(|| {
        let group = UNSUPPORTED.iter().find_map(|group| {
            let entry = group.keywords.iter().find(|(name, _)| *name == keyword);
            entry.map(|&(keyword, nothing_lost)| Unsupported { keyword, reason: group.reason, nothing_lost })
        });
        group.map(Role::Unsupported)
    })
}

/// Every keyword with an effect, with its older names.
static SUPPORTED: &[(&str, Role)] = &[
    ("host", Role::Host),
    ("match", Role::Match),
    ("include", Role::Include),
    ("hostname", Role::Set(Setting::HostName, Kind::Text)),
    ("user", Role::Set(Setting::User, Kind::Text)),
    ("port", Role::Set(Setting::Port, Kind::Port)),
    ("addressfamily", Role::Set(Setting::AddressFamily, Kind::AddressFamily)),
    ("bindaddress", Role::Set(Setting::BindAddress, Kind::Text)),
    ("proxyjump", Role::Set(Setting::ProxyJump, Kind::Jump)),
    ("proxycommand", Role::Set(Setting::ProxyCommand, Kind::Command)),
    ("connecttimeout", Role::Set(Setting::ConnectTimeout, Kind::Time)),
    ("connectionattempts", Role::Set(Setting::ConnectionAttempts, Kind::Count)),
    ("tcpkeepalive", Role::Set(Setting::TcpKeepAlive, Kind::Flag)),
    ("keepalive", Role::Set(Setting::TcpKeepAlive, Kind::Flag)),
    ("serveraliveinterval", Role::Set(Setting::ServerAliveInterval, Kind::Time)),
    ("serveralivecountmax", Role::Set(Setting::ServerAliveCountMax, Kind::Number)),
    ("compression", Role::Set(Setting::Compression, Kind::YesNo)),
    ("ciphers", Role::Set(Setting::Ciphers, Kind::Algorithms)),
    ("macs", Role::Set(Setting::Macs, Kind::Algorithms)),
    ("kexalgorithms", Role::Set(Setting::KexAlgorithms, Kind::Algorithms)),
    ("hostkeyalgorithms", Role::Set(Setting::HostKeyAlgorithms, Kind::Algorithms)),
    ("pubkeyacceptedalgorithms", Role::Set(Setting::PubkeyAcceptedAlgorithms, Kind::Algorithms)),
    ("pubkeyacceptedkeytypes", Role::Set(Setting::PubkeyAcceptedAlgorithms, Kind::Algorithms)),
    ("hostkeyalias", Role::Set(Setting::HostKeyAlias, Kind::Text)),
    ("stricthostkeychecking", Role::Set(Setting::StrictHostKeyChecking, Kind::StrictHostKey)),
    ("hashknownhosts", Role::Set(Setting::HashKnownHosts, Kind::Flag)),
    ("userknownhostsfile", Role::Set(Setting::UserKnownHostsFile, Kind::Files)),
    ("globalknownhostsfile", Role::Set(Setting::GlobalKnownHostsFile, Kind::Files)),
    ("revokedhostkeys", Role::Set(Setting::RevokedHostKeys, Kind::Text)),
    ("identityfile", Role::Set(Setting::IdentityFile, Kind::Text)),
    ("identityfile2", Role::Set(Setting::IdentityFile, Kind::Text)),
    ("certificatefile", Role::Set(Setting::CertificateFile, Kind::Text)),
    ("identitiesonly", Role::Set(Setting::IdentitiesOnly, Kind::Flag)),
    ("identityagent", Role::Set(Setting::IdentityAgent, Kind::Text)),
    ("forwardagent", Role::Set(Setting::ForwardAgent, Kind::Text)),
    ("preferredauthentications", Role::Set(Setting::PreferredAuthentications, Kind::Text)),
    ("pubkeyauthentication", Role::Set(Setting::PubkeyAuthentication, Kind::PubkeyFlag)),
    ("dsaauthentication", Role::Set(Setting::PubkeyAuthentication, Kind::PubkeyFlag)),
    ("passwordauthentication", Role::Set(Setting::PasswordAuthentication, Kind::Flag)),
    ("kbdinteractiveauthentication", Role::Set(Setting::KbdInteractiveAuthentication, Kind::Flag)),
    ("challengeresponseauthentication", Role::Set(Setting::KbdInteractiveAuthentication, Kind::Flag)),
    ("skeyauthentication", Role::Set(Setting::KbdInteractiveAuthentication, Kind::Flag)),
    ("tisauthentication", Role::Set(Setting::KbdInteractiveAuthentication, Kind::Flag)),
    ("batchmode", Role::Set(Setting::BatchMode, Kind::Flag)),
    ("sendenv", Role::Set(Setting::SendEnv, Kind::EnvNames)),
    ("setenv", Role::Set(Setting::SetEnv, Kind::EnvValues)),
    ("ignoreunknown", Role::Set(Setting::IgnoreUnknown, Kind::Text)),
    ("tag", Role::Set(Setting::Tag, Kind::Text)),
    ("refuseconnection", Role::Set(Setting::RefuseConnection, Kind::Text)),
];

struct Group {
    reason: &'static str,
    /// Keyword, and the values on which nothing is lost.
    keywords: &'static [(&'static str, &'static str)],
}

const OFF: &str = "no,false";
const NONE: &str = "none";
const ALWAYS_REPORTED: &str = "";

/// Every other keyword that OpenSSH, or its common Debian and Fedora builds, know.
static UNSUPPORTED: &[Group] = &[
    Group {
        reason: "connections are not shared with other programs",
        keywords: &[("controlmaster", OFF), ("controlpath", NONE), ("controlpersist", OFF)],
    },
    Group {
        reason: "ports, sockets and displays are not forwarded",
        keywords: &[
            ("localforward", ALWAYS_REPORTED),
            ("remoteforward", ALWAYS_REPORTED),
            ("dynamicforward", ALWAYS_REPORTED),
            ("permitremoteopen", "any"),
            ("gatewayports", OFF),
            ("exitonforwardfailure", OFF),
            ("clearallforwardings", "yes,true,no,false"),
            ("streamlocalbindmask", ALWAYS_REPORTED),
            ("streamlocalbindunlink", OFF),
            ("forwardx11", OFF),
            ("forwardx11trusted", ALWAYS_REPORTED),
            ("forwardx11timeout", ALWAYS_REPORTED),
            ("xauthlocation", ALWAYS_REPORTED),
            ("tunnel", OFF),
            ("tunneldevice", "any,any:any"),
        ],
    },
    Group { reason: "-v says more", keywords: &[("loglevel", "quiet,fatal,error,info")] },
    Group {
        reason: "a passphrase is asked for three times, a password once for all hosts",
        keywords: &[("numberofpasswordprompts", "3")],
    },
    Group {
        reason: "authorities may sign host certificates by any algorithm but DSA and SHA-1",
        keywords: &[("casignaturealgorithms", ALWAYS_REPORTED)],
    },
    Group {
        reason: "the command and the terminal are chosen on the command line",
        keywords: &[
            ("remotecommand", NONE),
            ("requesttty", "no,false,auto"),
            ("sessiontype", "default"),
            ("stdinnull", "yes,true,no,false"),
            ("forkafterauthentication", OFF),
            ("localcommand", NONE),
            ("permitlocalcommand", OFF),
            ("escapechar", NONE),
            ("enableescapecommandline", OFF),
            ("obscurekeystroketiming", OFF),
        ],
    },
    Group {
        reason: "this way to authenticate is not available",
        keywords: &[
            ("gssapiauthentication", OFF),
            ("gssapidelegatecredentials", OFF),
            ("gssapikeyexchange", OFF),
            ("gssapitrustdns", OFF),
            ("gssapirenewalforcesrekey", OFF),
            ("gssapiclientidentity", ALWAYS_REPORTED),
            ("gssapiserveridentity", ALWAYS_REPORTED),
            ("gssapikexalgorithms", ALWAYS_REPORTED),
            ("hostbasedauthentication", OFF),
            ("hostbasedacceptedalgorithms", ALWAYS_REPORTED),
            ("hostbasedkeytypes", ALWAYS_REPORTED),
            ("enablesshkeysign", OFF),
            ("kerberosauthentication", OFF),
            ("kerberostgtpassing", OFF),
            ("afstokenpassing", OFF),
            ("rsaauthentication", ALWAYS_REPORTED),
            ("rhostsauthentication", OFF),
            ("rhostsrsaauthentication", OFF),
            ("kbdinteractivedevices", ALWAYS_REPORTED),
            ("pkcs11provider", NONE),
            ("smartcarddevice", NONE),
            ("securitykeyprovider", "internal"),
        ],
    },
    Group { reason: "keys are not added to the agent", keywords: &[("addkeystoagent", OFF)] },
    Group {
        reason: "host keys are checked against known_hosts files alone",
        keywords: &[
            ("checkhostip", OFF),
            ("verifyhostkeydns", OFF),
            ("knownhostscommand", NONE),
            ("updatehostkeys", OFF),
            ("nohostauthenticationforlocalhost", OFF),
            ("globalknownhostsfile2", ALWAYS_REPORTED),
            ("userknownhostsfile2", ALWAYS_REPORTED),
        ],
    },
    Group {
        reason: "key fingerprints are shown in one form only",
        keywords: &[("visualhostkey", OFF), ("fingerprinthash", "sha256")],
    },
    Group {
        reason: "host names are not canonicalized",
        keywords: &[
            ("canonicalizehostname", OFF),
            ("canonicaldomains", NONE),
            ("canonicalizefallbacklocal", ALWAYS_REPORTED),
            ("canonicalizemaxdots", ALWAYS_REPORTED),
            ("canonicalizepermittedcnames", NONE),
        ],
    },
    Group {
        reason: "the connection has no such setting",
        keywords: &[
            ("bindinterface", ALWAYS_REPORTED),
            ("channeltimeout", NONE),
            ("compressionlevel", ALWAYS_REPORTED),
            ("ipqos", ALWAYS_REPORTED),
            ("proxyusefdpass", OFF),
            ("rekeylimit", "default,default none"),
            ("requiredrsasize", ALWAYS_REPORTED),
            ("useprivilegedport", OFF),
            ("versionaddendum", NONE),
            ("warnweakcrypto", OFF),
        ],
    },
    Group {
        reason: "messages are chosen on the command line",
        keywords: &[("logverbose", NONE), ("syslogfacility", ALWAYS_REPORTED)],
    },
    Group {
        reason: "OpenSSH has dropped it as well",
        keywords: &[
            ("protocol", "2"),
            ("cipher", ALWAYS_REPORTED),
            ("fallbacktorsh", OFF),
            ("usersh", OFF),
            ("useroaming", OFF),
        ],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_keyword_is_listed_twice() {
        let unsupported = UNSUPPORTED.iter().flat_map(|group| group.keywords).map(|(keyword, _)| *keyword);
        let mut seen = HashSet::new();
        for keyword in SUPPORTED.iter().map(|(keyword, _)| *keyword).chain(unsupported) {
            assert!(seen.insert(keyword), "{keyword}");
            assert_eq!(keyword, keyword.to_ascii_lowercase());
        }
    }

    #[test]
    fn case_does_not_count() {
        assert_eq!(lookup("IDENTITYfile"), Some(Role::Set(Setting::IdentityFile, Kind::Text)));
        assert!(matches!(lookup("ControlPath"), Some(Role::Unsupported(_))));
        assert_eq!(lookup("Prot"), None);
    }
}
