//! Microsoft Azure. Many of its keys have a signature of four characters at a fixed place.

use super::Kind;

/// The public list of forms with which Microsoft scans for its own keys.
const FORMS: &str = "https://github.com/microsoft/security-utilities";

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new("azure-client-secret", "Microsoft Entra client secret", "https://learn.microsoft.com/entra/identity-platform/how-to-add-credentials")
        .pattern("[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,36}", &["7q~", "8q~", "9q~", "6q~"])
        .lead(3, 3)
        .entropy(3.5)
        .examples(&["{a3}8Q~{w34}", "{a3}7Q~{w31}", "{a3}8Q~{a20}.{a13}"])
        .look_alikes(&["abc8Q~short"]),
    // The signature `JQQJ` marks keys of Azure OpenAI, AI services, SignalR, Maps and others.
    Kind::new("azure-annotated-key", "Azure key with the common annotation", FORMS)
        .pattern("[A-Za-z0-9]{52}JQQJ[A-Za-z0-9]{28,34}(?:==)?", &["jqqj"])
        .lead(52, 52)
        .bounded()
        .examples(&["{a52}JQQJ99B{u1}AC{a17}{a7}", "{a52}JQQJ99ALAC{a22}{a2}=="])
        .look_alikes(&["JQQJ"]),
    Kind::new("azure-function-key", "Azure Functions access key", FORMS)
        .pattern("[A-Za-z0-9_-]{44}AzFu[A-Za-z0-9_-]{5,6}={0,2}", &["azfu"])
        .lead(43, 44)
        .bounded()
        .examples(&["{w44}AzFu{a6}==", "{w44}AzFu{w6}"])
        .look_alikes(&["AzFunctions", "AzFuncLocal.ps1"]),
    Kind::new("azure-search-key", "Azure AI Search admin or query key", FORMS)
        .pattern("[A-Za-z0-9]{42}AzSe[A-Za-z0-9]{5,6}", &["azse"])
        .lead(42, 42)
        .bounded()
        .examples(&["{a42}AzSe{a6}"])
        .look_alikes(&["AzSearch"]),
    Kind::new("azure-container-registry-password", "Azure Container Registry password", FORMS)
        .pattern(r"[A-Za-z0-9+/]{42}\+ACR[A-Za-z0-9+/]{6}", &["+acr"])
        .lead(42, 42)
        .bounded()
        .examples(&["{b42}+ACR{a6}"])
        .look_alikes(&["one+ACR+two"]),
    Kind::new("azure-storage-key", "Azure Storage account key", FORMS)
        .pattern(r"[A-Za-z0-9+/]{76}\+ASt[A-Za-z0-9+/]{5,6}={0,2}", &["+ast"])
        .lead(76, 76)
        .bounded()
        .examples(&["{b76}+ASt{a6}==", "{b76}+ASt{b6}"])
        .look_alikes(&["one+ASt+two"]),
    Kind::new("azure-cosmos-key", "Azure Cosmos DB key", FORMS)
        .pattern("[A-Za-z0-9+/]{76}ACDb[A-Za-z0-9+/]{5,6}={0,2}", &["acdb"])
        .lead(76, 76)
        .bounded()
        .examples(&["{b76}ACDb{a6}=="])
        .look_alikes(&["ACDb"]),
    Kind::new("azure-batch-key", "Azure Batch account key", FORMS)
        .pattern(r"[A-Za-z0-9+/]{76}\+ABa[A-Za-z0-9+/]{5,6}={0,2}", &["+aba"])
        .lead(76, 76)
        .bounded()
        .examples(&["{b76}+ABa{a5}==", "{b76}+ABa{a6}=="])
        .look_alikes(&["one+ABa+two"]),
    Kind::new("azure-machine-learning-key", "Azure Machine Learning web service key", FORMS)
        .pattern(r"[A-Za-z0-9+/]{76}\+AMC[A-Za-z0-9+/]{5,6}={0,2}", &["+amc"])
        .lead(76, 76)
        .bounded()
        .examples(&["{b76}+AMC{a6}=="])
        .look_alikes(&["one+AMC+two"]),
    Kind::new("azure-api-management-key", "Azure API Management key", FORMS)
        .pattern("[A-Za-z0-9+/]{76}APIM[A-Za-z0-9+/]{5,6}={0,2}", &["apim"])
        .lead(76, 76)
        .bounded()
        .examples(&["{b76}APIM{a6}=="])
        .look_alikes(&["APIM"]),
    Kind::new("azure-service-bus-key", "Azure Service Bus key", FORMS)
        .pattern(r"[A-Za-z0-9+/]{33}\+ASb[A-Za-z0-9+/]{5,6}={0,2}", &["+asb"])
        .lead(33, 33)
        .bounded()
        .examples(&["{b33}+ASb{a5}=", "{b33}+ASb{a6}="])
        .look_alikes(&["one+ASb+two"]),
    Kind::new("azure-event-hub-key", "Azure Event Hubs key", FORMS)
        .pattern(r"[A-Za-z0-9+/]{33}\+AEh[A-Za-z0-9+/]{5,6}={0,2}", &["+aeh"])
        .lead(33, 33)
        .bounded()
        .examples(&["{b33}+AEh{a5}=", "{b33}+AEh{a6}="])
        .look_alikes(&["one+AEh+two"]),
    Kind::new("azure-relay-key", "Azure Relay key", FORMS)
        .pattern(r"[A-Za-z0-9+/]{33}\+ARm[A-Za-z0-9+/]{5,6}={0,2}", &["+arm"])
        .lead(33, 33)
        .bounded()
        .examples(&["{b33}+ARm{a5}=", "{b33}+ARm{a6}="])
        .look_alikes(&["one+ARm+two"]),
    Kind::new("azure-iot-key", "Azure IoT Hub, device or provisioning key", FORMS)
        .pattern("[A-Za-z0-9+/]{33}AIoT[A-Za-z0-9+/]{5,6}={0,2}", &["aiot"])
        .lead(33, 33)
        .bounded()
        .examples(&["{b33}AIoT{a5}=", "{b33}AIoT{a6}="])
        .look_alikes(&["AIoT"]),
    Kind::new("azure-redis-key", "Azure Cache for Redis key", FORMS)
        .pattern("[A-Za-z0-9+/]{33}AzCa[A-Za-z0-9+/]{5,6}={0,2}", &["azca"])
        .lead(33, 33)
        .bounded()
        .examples(&["{b33}AzCa{a5}=", "{b33}AzCa{a6}="])
        .look_alikes(&["AzCache"]),
    Kind::new("azure-event-grid-key", "Azure Event Grid key", FORMS)
        .pattern("[A-Za-z0-9+/]{33}AZEG[A-Za-z0-9+/]{5,6}={0,2}", &["azeg"])
        .lead(33, 33)
        .bounded()
        .examples(&["{b33}AZEG{a5}=", "{b33}AZEG{a6}="])
        .look_alikes(&["AZEG"]),
    Kind::new("azure-data-factory-key", "Azure Data Factory integration runtime key", "https://learn.microsoft.com/azure/data-factory/create-self-hosted-integration-runtime")
        .pattern(
            "IR@[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}@[A-Za-z0-9-]{3,63}@[A-Za-z0-9=.-]{2,40}@[A-Za-z0-9+/]{40,64}={0,2}",
            &["ir@"],
        )
        .bounded()
        .examples(&["IR@{U}@factory@we@{b43}="])
        .look_alikes(&["IR@example.com"]),
    Kind::new("azure-signature", "Signature of an Azure Logic App or Power Automate trigger URL", "https://learn.microsoft.com/azure/logic-apps/logic-apps-securing-a-logic-app")
        .pattern(
            r"logic\.azure\.com(?::443)?/workflows/[0-9a-f]{32}/triggers/[A-Za-z0-9_%-]{1,80}/paths/invoke\?[A-Za-z0-9_.%=&;/-]{0,200}sig=(?P<secret>[A-Za-z0-9_-]{20,64})",
            &["logic.azure.com"],
        )
        .examples(&["logic.azure.com:443/workflows/0123456789abcdef0123456789abcdef/triggers/manual/paths/invoke?api-version=2016-10-01&sp=%2Ftriggers&sv=1.0&sig={w43}"])
        .look_alikes(&["logic.azure.com:443/workflows"]),
];
