import UploadHttpLink from "apollo-upload-client/UploadHttpLink.mjs";
console.log(UploadHttpLink);
