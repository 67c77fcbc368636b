//! The local market's own keys.

use alloy_primitives::{B256, keccak256};
use alloy_signer_local::PrivateKeySigner;
use zeroize::Zeroizing;

use crate::base::files;
use crate::{Home, Result};

/// Who acts on a local market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Owns the contracts and mints test dollars.
    Deployer,
    /// Orders and pays.
    Requester,
    /// Runs, by number.
    Provider(u8),
    /// Re-checks and challenges.
    Auditor,
    /// Anchors the market's log.
    Operator,
}

/// Keys for a chain on this machine, derived from one random seed that lies in the home folder
/// without a password: they guard test dollars, which anyone can mint. For any other chain there
/// are keystores.
pub struct DevelopmentKeys(Zeroizing<[u8; 32]>);

impl DevelopmentKeys {
    /// The home's keys, made from the system's randomness the first time.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::Error::File), [`Error::Damaged`](crate::Error::Damaged),
    /// [`Error::Randomness`](crate::Error::Randomness).
    pub fn open(home: &Home) -> Result<Self> {
        Ok(DevelopmentKeys(files::seed(&home.development_seed())?))
    }

    /// The key of a role.
    pub fn key(&self, role: Role) -> PrivateKeySigner {
        let (tag, number) = match role {
            Role::Deployer => (0, 0),
            Role::Requester => (1, 0),
            Role::Provider(number) => (2, number),
            Role::Auditor => (3, 0),
            Role::Operator => (4, 0),
        };
        // A hash is no valid key with probability 2^-128; then the next one is taken.
        let attempt = |attempt: u8| {
            let mut preimage = Zeroizing::new([0; 35]);
            preimage[..32].copy_from_slice(&*self.0);
            preimage[32..].copy_from_slice(&[tag, number, attempt]);
            let secret: B256 = keccak256(*preimage);
            PrivateKeySigner::from_bytes(&secret).ok()
        };
        (0..=u8::MAX).find_map(attempt).unwrap_or_else(|| unreachable!("256 hashes, none a key"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn keys_stay_and_differ() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::at(folder.path());
        let roles = [Role::Deployer, Role::Requester, Role::Provider(0), Role::Provider(1)];
        let first = DevelopmentKeys::open(&home).expect("made");
        let again = DevelopmentKeys::open(&home).expect("read");
        let mut addresses = roles.map(|role| first.key(role).address()).to_vec();
        assert_eq!(addresses, roles.map(|role| again.key(role).address()));
        addresses.dedup();
        assert_eq!(addresses.len(), roles.len());
        let other = tempfile::tempdir().expect("a folder");
        let other = DevelopmentKeys::open(&Home::at(other.path())).expect("made");
        assert_ne!(other.key(Role::Deployer).address(), addresses[0]);
    }

    #[test]
    fn a_damaged_seed_is_no_new_seed() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::at(folder.path());
        files::write(&home.development_seed(), b"short").expect("written");
        assert!(matches!(DevelopmentKeys::open(&home), Err(Error::Damaged { .. })));
        assert_eq!(files::read(&home.development_seed()).expect("read"), Some(b"short".to_vec()));
    }
}
