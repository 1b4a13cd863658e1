//! Keys, names and certificates for the tests of this module.

use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{Certificate, PrivateKey, PublicKey};

use super::matching::HashedName;

pub(super) const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEQkmJo07fju+tcD0zTWnaFOo38zESf2MCIfsHVhHAKQ";
pub(super) const ED25519_OTHER: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIINN1X5z6+zZ2j3MFks+abYBxSdz4IcqEOBB54yiNuKu";
pub(super) const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBB805DPxtt+NEE4Ew5\
    ifsj3V0UEwQ8dhu3ZpxcrYbYfEtKuJ7YFRiueXnqF79iA8kBmZZHgO+MBF0n0EAE04IPA=";
pub(super) const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQClbYC1yV/0nhp4j2jrRyLYQ44j+ybIfCVjHkqcMiN6J18tQH9tdv\
    Q0e2iUPHcnozA1jscOEeL+h00EILWhJpl6UVEJ1O1Rq/3fXKQ/TaWW9Zb6y1RjqAi8j7FU2p7nwf0Y5uTgosVq/EZL\
    DDOr1Uyl03OjUUXDek2J3u9c7fM+eT6u4goM+/JPQo2YkMCf8bfsDuKb60jBTzzdy/5j0syQHH4396Cy946iNJUN8h\
    W0DJYfgUh3TF5IJ+2RJpjC+ZDl/nW4Szhe2Sc+b/ex2AXS5+/XKqckbfs5vmxQYwSiAH6pYcr0FVpM6j2wf0gHLUNaBMISwBmFQvGiMxkeX1SV";

/// The names field of a line that hides `name`.
pub(super) fn hashed(name: &str) -> String {
    HashedName::encode(name, &[7; 20])
}

pub(super) fn key(openssh: &str) -> PublicKey {
    PublicKey::from_openssh(openssh).unwrap()
}

pub(super) fn authority() -> PrivateKey {
    Ed25519Keypair::from_seed(&[1; 32]).into()
}

/// A line's key field for the authority.
pub(super) fn authority_text() -> String {
    authority().public_key().to_openssh().unwrap()
}

/// A certificate of the authority for [`ED25519`], good from second 100 to second 200.
pub(super) fn certificate(cert_type: CertType, principals: &[&str], critical_options: &[&str]) -> Certificate {
    let mut builder = Builder::new([0; 16], key(ED25519), 100, 200).unwrap();
    builder.cert_type(cert_type).unwrap();
    if principals.is_empty() {
        builder.all_principals_valid().unwrap();
    }
    for principal in principals {
        builder.valid_principal(*principal).unwrap();
    }
    for option in critical_options {
        builder.critical_option(*option, "").unwrap();
    }
    builder.sign(&authority()).unwrap()
}
