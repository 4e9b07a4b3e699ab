//! The commands that take secrets as arguments, according to their manuals.

/// A command.
pub(super) struct Command {
    /// Its words in lower case. `zip -` matches only before an option, and `mongo ` only as a whole
    /// word, because `zip` and `mongo` alone are too frequent.
    pub(super) words: &'static [&'static str],
    /// Where its secrets stand.
    pub(super) places: &'static [Place],
}

/// Where a secret stands among the arguments of a command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// After an option: `-p VALUE`, `-pVALUE`, `-p=VALUE`.
    Option(&'static str),
    /// After an option, if the value looks random. For commands whose names also occur in
    /// sentences.
    Token(&'static str),
    /// Directly after an option: `-pVALUE`.
    Glued(&'static str),
    /// Directly after an option, unless the value is a word in lower case: `-path` is a mistyped
    /// option.
    Drawn(&'static str),
    /// Between the user and the host of an argument: `user:VALUE@host`.
    Address,
    /// In the argument after an option: `/p VALUE`.
    Apart(&'static str),
    /// In the argument after several short options, of which this letter is the last: `-rP VALUE`.
    Last(u8),
    /// After a text at the beginning of an argument: `pass:VALUE`.
    Prefix(&'static str),
    /// After the user and a sign in the argument of an option: `-u user,VALUE`.
    User(&'static str, u8),
    /// The first argument that is no option, if it looks random.
    First,
    /// The first argument, in quotation marks.
    Text,
    /// The second argument that is no option.
    Second,
    /// After the name of a share: `\\host\share VALUE`.
    Share,
    /// After the name of a setting.
    Setting,
    /// In each argument `name=VALUE`.
    Pairs,
    /// In the `name=VALUE` after an option.
    Pair(&'static str),
}

use Place::{
    Address, Apart, Drawn, First, Glued, Last, Option, Pair, Pairs, Prefix, Second, Setting, Share,
    Text, Token, User,
};

/// Defines the commands, and the list of all their words.
macro_rules! commands {
    ($($places:expr => $($word:literal)+;)+) => {
        /// Commands.
        pub(super) static COMMANDS: &[Command] = &[
            $(Command { words: &[$($word),+], places: $places },)+
        ];

        /// The words of all commands.
        pub(super) const WORDS: &[&str] = &[$($($word,)+)+];
    };
}

commands! {
    &[Option("-p")] =>
        "docker login" "podman login" "buildah login" "nerdctl login" "skopeo login"
        "registry login" "auth login" "oras login" "cosign login" "regctl login" "az login"
        "acr login" "oc login" "cf login" "ibmcloud login" "cloudctl login" "twine upload"
        "poetry publish" "nuget add source" "nuget update source" "sshpass" "mongo " "mongosh"
        "mongodump" "mongorestore" "mongoimport" "mongoexport" "mongostat" "unlock-keychain"
        "create-keychain" "rabbitmqadmin" "altool" "cqlsh" "beeline" "mycli" "ncftp" "ncftpput"
        "ncftpget" "psexec" "psexec64" "rdesktop" "evil-winrm" "smbmap";
    &[Option("-P")] =>
        "sqlcmd" "osql" "bcp" "isql" "tsql" "mssql-cli" "ipmitool" "mosquitto_pub"
        "mosquitto_sub" "security import";
    &[Option("-P"), Last(b'P')] => "unzip" "zip -";
    &[Option("-k"), Option("-p")] => "set-key-partition-list";
    &[Option("-a")] => "redis-cli" "valkey-cli" "keydb-cli";
    &[Option("-k"), Option("-K"), Prefix("pass:")] => "openssl";
    &[Prefix("pass:")] => "apksigner";
    &[Option("-w")] =>
        "ldapsearch" "ldapadd" "ldapmodify" "ldapwhoami" "ldapdelete" "ldapmodrdn"
        "ldapcompare";
    &[Option("-w"), Option("-s"), Option("-a")] => "ldappasswd";
    &[Option("-N"), Option("-P")] => "ssh-keygen";
    &[Option("-A"), Option("-X")] => "snmpwalk" "snmpget" "snmpset" "snmpbulkwalk";
    &[Option("-k")] => "nuget push";
    &[Option("-t")] => "doctl auth init";
    &[Token("-t")] => "vercel " "codecov " "codecovcli " "hub -";
    &[Option("-b"), Apart("--body")] => "gh secret set";
    &[Apart("--value")] => "ssm put-parameter" "keyvault secret set";
    &[Apart("/p")] => "signtool" "signtool.exe";
    &[Apart("/p"), Apart("/P"), Apart("/rp"), Apart("/RP")] => "schtasks" "schtasks.exe";
    &[Glued("/p:")] => "xfreerdp" "wlfreerdp" "mstsc";
    &[Glued("-p")] =>
        "mysql" "mysqldump" "mysqladmin" "mysqlimport" "mysqlcheck" "mysql_upgrade" "mysqlshow"
        "mariadb" "mariadb-dump" "mariadb-admin";
    &[Drawn("-p")] => "7z " "7za " "7zz " "7zr " "7z.exe " "unrar";
    &[Drawn("-hp"), Drawn("-p")] => "rar a" "rar x";
    &[User("-u", b','), User("--user", b','), User("open -u", b',')] => "lftp";
    &[Address] => "mysqlsh";
    &[User("-U", b'%')] => "smbget" "winexe" "smbcacls" "smbtree";
    &[Text, Apart("-String")] => "convertto-securestring";
    &[Apart("pass"), Apart("secret_access_key")] => "rclone config create";
    &[Share] => "net use" "smbclient";
    &[First] =>
        "vault login" "vault operator unseal" "vault unseal" "snyk auth" "cargo login"
        "ngrok authtoken" "add-authtoken" "rclone obscure" "infracost configure set api_key"
        "setapikey" "npm token revoke" "encrypt_string" "bw unlock";
    &[Second] => "net user" "consul kv put" "etcdctl put" "wpa_passphrase" "bw login";
    &[Setting] =>
        "npm config set" "pnpm config set" "yarn config set" "npm set" "poetry config"
        "composer config" "bundle config" "bundle config set" "aws configure set";
    &[Pairs] =>
        "vault kv put" "vault kv patch" "vault write" "infisical secrets set"
        "doppler secrets set" "flyctl secrets set" "fly secrets set";
    &[Pair("--from-literal")] => "create secret";
}
